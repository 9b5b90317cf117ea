"""Senders short of processor: those that catch up later, and those whose sound clock stands still."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec, SenderReport
from media.sync.timeline import SenderClock

MS, S = 1_000_000, 1_000_000_000
EPOCH = 3_900_000_000 * S
SOUND_NS, PICTURE_NS = 20 * MS, 40 * MS
QUIET_NS = 900 * MS  # so long everything goes well
PLACED_AFTER_NS = 1_500 * MS  # a doubtful frame is placed so long after it came, at the latest
Processor = Callable[[int], int]  # when work of the sender can go on that would at this instant


def in_slices(run_ms: int, stop_ms: int, *, until_s: float) -> Processor:
    """A processor that the sender has for `run_ms`, and then not for `stop_ms`, again and again."""

    def goes_on(now_ns: int) -> int:
        if not QUIET_NS <= now_ns < until_s * S:
            return now_ns
        period_ns = (run_ms + stop_ms) * MS
        into_ns = (now_ns - QUIET_NS) % period_ns
        return now_ns if into_ns < run_ms * MS else now_ns + period_ns - into_ns

    return goes_on


def at_random(seed: int, run_ms: int, stop_ms: int, *, until_s: float) -> Processor:
    """The same with slices of any length, of which those are the means."""
    chance, stops, now_ns = Random(seed), [], QUIET_NS
    while now_ns < until_s * S:
        now_ns += round(chance.uniform(0.2, 1.8) * run_ms * MS)
        length_ns = round(min(1500.0, chance.expovariate(1 / stop_ms)) * MS)
        stops.append((now_ns, now_ns + length_ns))
        now_ns += length_ns

    def goes_on(at_ns: int) -> int:
        return next((end_ns for start_ns, end_ns in stops if start_ns <= at_ns < end_ns), at_ns)

    return goes_on


@dataclass
class Frame:
    key: str
    codec: Codec
    rtp_timestamp: int
    captured_ns: int
    arrival_ns: int


@dataclass
class Heard:
    """What a receiver makes of what arrives."""

    clock: SenderClock = field(default_factory=SenderClock)
    errors_ms: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    def receive(self, frames: list[Frame], reports: list[tuple[str, SenderReport]]) -> "Heard":
        """Take all of it in order; each frame is placed with what is known PLACED_AFTER_NS later."""
        moments = [(frame.arrival_ns, 0, frame) for frame in frames]
        moments += [(frame.arrival_ns + PLACED_AFTER_NS, 1, frame) for frame in frames]
        told = [(report.arrival_ns, 2, (key, report)) for key, report in reports]
        for _, kind, what in sorted([*moments, *told], key=lambda moment: moment[:2]):
            if kind == 0:
                self.clock.observe(what.key, what.codec, what.rtp_timestamp, what.arrival_ns)
            elif kind == 1:
                placed_ns = self.clock.stream(what.key, what.codec).capture_ns(what.rtp_timestamp)
                error_ms = (placed_ns - what.captured_ns) / MS
                self.errors_ms.setdefault(what.key, []).append((what.captured_ns / S, error_ms))
            else:
                self.clock.report(*what)
        return self

    def apart_ms(self, from_s: float = 0.0) -> list[float]:
        """How far each picture is from the sound that belongs to it."""
        sound = self.errors_ms["sound"]
        apart = []
        for at_s, error_ms in self.errors_ms["picture"]:
            if at_s >= from_s:
                nearest = min(sound, key=lambda pair: abs(pair[0] - at_s))
                apart.append(abs(error_ms - nearest[1]))
        return sorted(apart)


def falling_behind(processor: Processor, seconds: float, *, hop_ms: float) -> Heard:
    """A sender that takes every sample and picture, and codes them when it can; as aiortc does.

    Each turn of its event loop costs `hop_ms` and brings sound and pictures on by one of three hops. Its
    reports name the last frame's timestamp and the instant at which that was sent.
    """
    streams = {"sound": (Codec.OPUS, SOUND_NS), "picture": (Codec.VP8, PICTURE_NS)}
    number, hops = dict.fromkeys(streams, 0), dict.fromkeys(streams, 0)
    due_ns = {"sound": 1_100 * MS, "picture": 1_300 * MS}
    frames: list[Frame] = []
    reports: list[tuple[str, SenderReport]] = []
    last: dict[str, Frame] = {}
    now_ns = 0
    while now_ns < seconds * S:
        now_ns = processor(now_ns)
        began_ns = now_ns
        for key, (codec, period_ns) in streams.items():
            captured_ns = number[key] * period_ns
            if hops[key] == 0 and now_ns < captured_ns + period_ns:
                continue  # it leaves when it is over
            now_ns += round(hop_ms * MS / 2)
            hops[key] += 1
            if hops[key] == 3:
                timestamp = captured_ns * codec.clock_rate // S
                last[key] = Frame(key, codec, timestamp, captured_ns, now_ns)
                frames.append(last[key])
                number[key], hops[key] = number[key] + 1, 0
            if now_ns >= due_ns[key]:
                due_ns[key] = now_ns + S
                report = SenderReport(last[key].rtp_timestamp, EPOCH + last[key].arrival_ns, now_ns)
                reports.append((key, report))
        if now_ns == began_ns:
            now_ns += MS // 2
    return Heard().receive(frames, reports)


def standing_still(processor: Processor, seconds: float) -> Heard:
    """A browser: sound that cannot be handed over is never taken, in quanta of 10 ms; pictures go on."""
    frames: list[Frame] = []
    timestamp, now_ns, wanted_ns = 0, 0, 0
    while now_ns < seconds * S:
        sent_ns = processor(now_ns + SOUND_NS)
        frames.append(Frame("sound", Codec.OPUS, timestamp, sent_ns - SOUND_NS, sent_ns))
        timestamp += 960
        now_ns += SOUND_NS
        missed_ns = sent_ns - now_ns
        now_ns += missed_ns // (10 * MS) * 10 * MS
    while wanted_ns < seconds * S:
        drawn_ns = processor(wanted_ns)
        frames.append(Frame("picture", Codec.VP8, drawn_ns * 90_000 // S, drawn_ns, drawn_ns + SOUND_NS))
        wanted_ns = max(wanted_ns + PICTURE_NS, drawn_ns)
    every_s = {"sound": 5, "picture": 1}
    last: dict[str, int] = {}
    reports = []
    for frame in sorted(frames, key=lambda one: one.arrival_ns):
        if frame.arrival_ns // S // every_s[frame.key] != last.get(frame.key, 0):
            last[frame.key] = frame.arrival_ns // S // every_s[frame.key]
            ntp_ns = EPOCH + frame.captured_ns
            reports.append((frame.key, SenderReport(frame.rtp_timestamp, ntp_ns, frame.arrival_ns)))
    return Heard().receive(frames, reports)


@pytest.mark.parametrize(("run_ms", "stop_ms"), [(30, 70), (22, 78), (18, 82), (15, 85)])
def test_a_sender_that_falls_behind_and_catches_up_moves_nothing(run_ms: int, stop_ms: int) -> None:
    heard = falling_behind(in_slices(run_ms, stop_ms, until_s=5.0), 12.0, hop_ms=1.5)
    assert heard.clock.stream("sound", Codec.OPUS).steady(10**9) == 10**9
    assert heard.apart_ms()[-1] < 40


@given(st.integers(0, 10**6), st.sampled_from([(20, 60), (40, 120), (60, 120)]))
@settings(max_examples=8, deadline=None)
def test_whatever_its_slices_are_like(seed: int, slices: tuple[int, int]) -> None:
    heard = falling_behind(at_random(seed, *slices, until_s=4.0), 10.0, hop_ms=1.0)
    apart = heard.apart_ms()
    assert apart[int(0.95 * len(apart))] < 60
    assert max(heard.apart_ms(from_s=7.0)) < 40


@pytest.mark.parametrize(("run_ms", "stop_ms"), [(400, 100), (1200, 100), (1700, 300), (200, 50), (500, 500)])
def test_a_browser_that_stands_still_again_and_again_is_followed(run_ms: int, stop_ms: int) -> None:
    heard = standing_still(in_slices(run_ms, stop_ms, until_s=14.0), 16.0)
    apart = heard.apart_ms(from_s=1.0)
    assert apart[int(0.95 * len(apart))] < 40
    assert apart[-1] <= stop_ms + 20  # a packet that was being made when it stopped


@given(st.integers(0, 10**6))
@settings(max_examples=8, deadline=None)
def test_a_browser_with_a_third_of_a_processor_is_followed(seed: int) -> None:
    heard = standing_still(at_random(seed, 40, 80, until_s=12.0), 14.0)
    apart = heard.apart_ms(from_s=1.0)
    assert apart[len(apart) // 2] < 40
    assert max(heard.apart_ms(from_s=12.8)) < 40


def test_a_way_that_is_longer_for_all_is_followed_and_lips_stay_together() -> None:
    clock = SenderClock()
    for number in range(1000):
        late_ns = Random(number // 10).randrange(600, 1200) * MS if number > 100 else 0  # it wavers
        clock.observe("sound", Codec.OPUS, number * 960, number * SOUND_NS + late_ns)
        if number % 2 == 0:
            clock.observe("picture", Codec.VP8, number * 1800, number * SOUND_NS + late_ns * 2 // 3)
    placed_ns = [
        clock.stream(key, codec).capture_ns(999 * codec.clock_rate // 50) - 999 * SOUND_NS
        for key, codec in (("sound", Codec.OPUS), ("picture", Codec.VP8))
    ]
    assert abs(placed_ns[0] - placed_ns[1]) < 15 * MS
    assert placed_ns[0] > 50 * MS  # by slewing
