"""The judgement of a load: from what is found in a file to the words for what gave way."""

import asyncio
import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.media import MediaEvent
from recorder.load.call import Outcome
from recorder.load.capacity import CALLS_MAX, largest
from recorder.load.found import Found
from recorder.load.page import as_page
from recorder.load.report import Report, as_json, as_table
from recorder.load.sampling import Sample
from recorder.load.seen import SETTLE_S, Seen, Stretch, counted, stretches
from recorder.load.verdict import Timing, judge

GOOD = Timing(start_s=0.05, connect_s=0.1, first_media_s=0.1, available_s=0.4)


def found(**changed: object) -> Found:
    known: dict[str, object] = {
        "ok": True,
        "problems": (),
        "duration_s": 10.0,
        "seen": {"participant 1": Seen(expected=250, found=249, gap_s=0.08)},
        "offsets_s": [0.01, -0.02, 0.015],
        "flashes": 3,
    }
    return Found(**(known | changed))  # type: ignore[arg-type]


def event(kind: str, at_s: float, participant: str) -> MediaEvent:
    return MediaEvent(kind=kind, at_s=at_s, participant=participant)


def reasons(**changed: object) -> tuple[str, ...]:
    return judge(found(**changed), GOOD, has_pictures=True).reasons


def test_what_keeps_every_promise_is_good() -> None:
    assert reasons() == ()


def test_each_broken_promise_has_its_word() -> None:
    assert reasons(ok=False) == ("not_whole",)
    assert reasons(seen={}) == ("no_pictures",)
    assert reasons(seen={"a": Seen(100, 90, 0.1)}) == ("pictures_missing",)
    assert reasons(seen={"a": Seen(100, 99, 0.7)}) == ("gap",)
    assert reasons(offsets_s=[0.05, 0.05, 0.05]) == ("out_of_sync",)
    assert reasons(offsets_s=[]) == ("beeps_missing",)
    slow = Timing(start_s=2.0, connect_s=0.1, first_media_s=3.0, available_s=0.4)
    assert judge(found(), slow, has_pictures=True).reasons == ("slow_start", "late_picture")


def test_sound_alone_is_judged_without_pictures() -> None:
    verdict = judge(found(seen={}, offsets_s=[], flashes=0), GOOD, has_pictures=False)
    assert verdict.is_good and math.isnan(verdict.gap_s)


def test_only_times_without_a_change_are_looked_at() -> None:
    events = [
        event("joined", 0.0, "a"),
        event("joined", 0.2, "b"),
        event("left", 5.0, "b"),
        event("joined", 9.5, "c"),
    ]
    first, second = stretches(events, 10.0)
    assert (first.there, second.there) == (("a", "b"), ("a",))
    assert first.begin_s == 0.2 + SETTLE_S and first.end_s < 5.0 and second.end_s < 9.5


@given(start=st.integers(0, 399), lost=st.sets(st.integers(1, 98), max_size=40))
def test_pictures_are_counted_across_the_end_of_a_clip(start: int, lost: set[int]) -> None:
    shown = [(index / 25, (start + index) % 400) for index in range(100) if index not in lost]
    twice = [picture for picture in shown for _ in range(2)]  # what stands still is no new picture
    seen = counted(twice, Stretch(0.0, 4.0, ("a",)), 25)
    assert (seen.expected, seen.found) == (100, 100 - len(lost))


@given(holding=st.integers(0, CALLS_MAX), first=st.integers(1, 8))
def test_the_largest_number_is_found(holding: int, first: int) -> None:
    tried = []

    async def holds(calls: int) -> bool:
        tried.append(calls)
        return calls <= holding

    assert asyncio.run(largest(holds, first=first)) == holding
    assert len(tried) == len(set(tried)) <= 20


def test_a_report_says_what_gave_way() -> None:
    bad = judge(found(ok=False), GOOD, has_pictures=True)
    outcomes = [
        Outcome(
            1,
            "rec_1",
            timing=GOOD,
            verdict=judge(found(), GOOD, has_pictures=True),
            bytes=10**6,
            duration_s=10,
        ),
        Outcome(2, "rec_2", timing=GOOD, verdict=bad, bytes=10**6, duration_s=10),
        Outcome(3, refused="overloaded"),
        Outcome(4, "rec_4", failed="<the recording ended>"),
    ]
    samples = [Sample(at_s=at_s, calls=2, worker_cores=0.3, server_bytes=10**8) for at_s in (1.0, 2.0)]
    report = Report(
        profile="two-party",
        offered=4,
        seconds=10.0,
        loss=0.0,
        jitter_s=0.0,
        outcomes=outcomes,
        samples=samples,
        dropped={"late": 3.0},
    )
    assert not report.is_good
    assert report.reasons == {"not_whole": 1, "refused: overloaded": 1, "failed: <the recording ended>": 1}
    assert "1 x not_whole" in as_table(report) and "0.150 core" in as_table(report)
    assert b"NaN" not in as_json(report)
    assert "this machine was full" not in as_table(report)
    full = msgspec.structs.replace(samples[0], machine_busy=0.99)
    assert "this machine was full" in as_table(msgspec.structs.replace(report, samples=[full]))
    page = as_page([report, report])
    assert "&lt;the recording ended&gt;" in page and "<script" not in page and "http" not in page
