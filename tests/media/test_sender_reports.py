"""Which sender reports are believed, and what those say that name when packets left."""

from hypothesis import given, settings
from hypothesis import strategies as st

from media.handover.encoded_frame import SenderReport
from media.sync.sender_reports import PUNCTUAL_NS, SenderReports

MS, S = 1_000_000, 1_000_000_000
EPOCH = 3_900_000_000 * S
LATENESS = st.lists(st.integers(0, 900), min_size=8, max_size=20)


def steady(rtp_timestamp: int) -> int:
    return rtp_timestamp * S // 48_000


def reported(late_ms: list[int], *, follows: bool) -> list[int | None]:
    """What is believed after each report of a sender whose packets are late by so much, less the truth."""
    reports, believed = SenderReports(), []
    for number, late in enumerate(late_ms):
        timestamp, true_ns = number * 48_000, number * S
        ntp_ns = EPOCH + true_ns + (late * MS if follows else 0)
        arrival_ns = true_ns + late * MS
        report = SenderReport(timestamp, ntp_ns, arrival_ns)
        assert not reports.knows(report)
        reports.seen(timestamp, arrival_ns)
        reports.note(report, steady)
        said = reports.believed(arrival_ns, 0, steady)
        believed.append(None if said is None else said - EPOCH)
    return believed


@given(LATENESS, st.booleans())
@settings(max_examples=60, deadline=None)
def test_lateness_is_never_believed(late_ms: list[int], follows: bool) -> None:
    assert all(abs(error_ns) <= PUNCTUAL_NS for error_ns in reported(late_ms, follows=follows) if error_ns)


def test_a_sender_that_is_late_all_the_time_is_understood_by_how_its_reports_move() -> None:
    late_ms = [300, 500, 350, 700, 420, 600]
    assert reported(late_ms, follows=True)[-1] == 0
    assert reported(late_ms, follows=False)[-1] == 0


def test_a_first_report_is_believed_where_its_packet_was_on_time() -> None:
    assert reported([5], follows=True) == [5 * MS]
    assert reported([200], follows=True) == [None]
