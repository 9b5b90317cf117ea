"""Packets in order again: the sequence arithmetic, the buffer, and what is asked for again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.rtp.jitter_buffer import (
    BYTES_MAX,
    PACKETS_MAX,
    ROUND_TRIPS,
    SETTLE_NS,
    JitterBuffer,
    longest_wait_ns,
)
from media.rtp.nack import MISSING_PACKETS_MAX, REORDER_TOLERANCE_NS, TRIES_MAX, NackSchedule
from media.rtp.wire.packet import RtpPacket
from media.rtp.wire.sequence import Unwrapper
from tests.support.rtp import packet

WAIT_NS = 1_000_000_000


class Released:
    """What a buffer gave out: (sequence, lost before it)."""

    def __init__(self) -> None:
        self.all: list[tuple[int, int]] = []

    def __call__(self, released: RtpPacket, lost: int) -> None:
        self.all.append((released.sequence, lost))


class TestUnwrapper:
    @given(st.integers(0, 65535), st.lists(st.integers(-32767, 32767), max_size=50))
    def test_follows_any_walk_of_less_than_half_a_cycle(self, first: int, steps: list[int]) -> None:
        unwrapper = Unwrapper(16, first)
        newest = true = first + 65536
        for step in steps:
            true = newest + step
            if true < 0:
                return
            assert unwrapper.peek(true & 0xFFFF) == true
            assert unwrapper.unwrap(true & 0xFFFF) == true
            newest = max(newest, true)
            assert unwrapper.newest == newest


class TestReorderBuffer:
    @given(st.integers(2, 60), st.randoms(use_true_random=False), st.data())
    def test_order_of_arrival_inside_the_budget_changes_nothing(
        self, count: int, chance: random.Random, data: st.DataObject
    ) -> None:
        missing = set(data.draw(st.lists(st.integers(1, count - 2), max_size=5))) if count > 2 else set()
        arriving = [number for number in range(1, count) if number not in missing]
        chance.shuffle(arriving)
        released = Released()
        buffer = JitterBuffer(0, WAIT_NS, released)
        for place, number in enumerate([0, *arriving]):
            buffer.insert(number, packet(sequence=number, arrival_ns=place))
            buffer.expire(place)
        buffer.expire(2 * WAIT_NS)
        numbers = [number for number, _ in released.all]
        assert numbers == [number for number in range(count) if number not in missing]
        assert sum(lost for _, lost in released.all) == len(missing)
        assert buffer.blocked_since_ns is None

    @given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50)), max_size=200))
    def test_no_packet_twice_and_never_backwards(self, arrivals: list[tuple[int, int]]) -> None:
        released = Released()
        buffer = JitterBuffer(0, 100, released)
        now_ns = 0
        for number, step_ns in arrivals:
            now_ns += step_ns
            buffer.expire(now_ns)
            buffer.insert(number, packet(sequence=number, arrival_ns=now_ns))
            assert buffer.blocked_since_ns is None or now_ns - buffer.blocked_since_ns <= 100
        buffer.flush()
        numbers = [number for number, _ in released.all]
        assert numbers == sorted(set(numbers))
        assert set(numbers) <= {number for number, _ in arrivals}

    def test_a_gap_is_given_up_after_its_own_time(self) -> None:
        released = Released()
        buffer = JitterBuffer(0, 100, released)
        for number, at_ns in ((0, 0), (2, 10), (4, 60)):
            buffer.insert(number, packet(sequence=number, arrival_ns=at_ns))
        assert buffer.blocked_since_ns == 10
        buffer.expire(109)
        assert released.all == [(0, 0)]
        buffer.expire(110)
        assert released.all == [(0, 0), (2, 1)]
        assert buffer.blocked_since_ns == 60
        assert buffer.deadline_ns == 160

    def test_both_bounds_give_up_the_oldest_gap(self) -> None:
        released = Released()
        buffer = JitterBuffer(0, WAIT_NS, released)
        for number in range(1, PACKETS_MAX + 1):
            buffer.insert(number, packet(sequence=number))
        assert released.all == []
        buffer.insert(PACKETS_MAX + 1, packet(sequence=PACKETS_MAX + 1))
        assert len(released.all) == PACKETS_MAX + 1
        buffer.insert(PACKETS_MAX + 3, packet(payload=bytes(BYTES_MAX)))
        assert len(released.all) == PACKETS_MAX + 1
        buffer.insert(PACKETS_MAX + 4, packet(payload=b"x"))
        assert len(released.all) == PACKETS_MAX + 3

    def test_packets_that_the_first_one_overtook_are_taken(self) -> None:
        released = Released()
        buffer = JitterBuffer(10, WAIT_NS, released, settle=True)
        for number in (10, 9, 8):
            buffer.insert(number, packet(sequence=number, arrival_ns=7))
        assert released.all == []
        buffer.expire(7 + SETTLE_NS)
        assert released.all == [(8, 0), (9, 0), (10, 0)]


class TestNackSchedule:
    def test_asks_after_the_tolerance_then_every_round_trip_and_a_half(self) -> None:
        schedule = NackSchedule()
        schedule.gap(5, 8, 0)
        assert schedule.due(REORDER_TOLERANCE_NS - 1, 40_000_000) == []
        assert schedule.due(REORDER_TOLERANCE_NS, 40_000_000) == [5, 6, 7]
        assert schedule.arrived(6)
        assert schedule.due(REORDER_TOLERANCE_NS + 59_000_000, 40_000_000) == []
        assert schedule.due(REORDER_TOLERANCE_NS + 60_000_000, 40_000_000) == [5, 7]

    def test_what_came_by_itself_was_not_recovered(self) -> None:
        schedule = NackSchedule()
        schedule.gap(5, 6, 0)
        assert not schedule.arrived(5)
        assert not schedule.arrived(5)

    def test_tries_and_memory_are_bounded(self) -> None:
        schedule = NackSchedule()
        schedule.gap(0, 10**9, 0)
        assert len(schedule) == MISSING_PACKETS_MAX
        schedule.forget_before(10**9 - 1)
        now_ns = asked = 0
        for _ in range(1000):
            now_ns += 10_000_000
            asked += len(schedule.due(now_ns, 1))
        assert asked == TRIES_MAX


@pytest.mark.parametrize(
    ("round_trip_ms", "waited_ms"), [(10, 1000), (100, 1000), (300, 300 * ROUND_TRIPS), (2000, 5000)]
)
def test_a_gap_is_waited_for_as_long_as_round_trips_are(round_trip_ms: int, waited_ms: int) -> None:
    released = Released()
    buffer = JitterBuffer(0, WAIT_NS, released)
    buffer.insert(1, packet(sequence=1, arrival_ns=0))
    buffer.follow(round_trip_ms * 1_000_000)
    buffer.expire(waited_ms * 1_000_000 - 1)
    assert released.all == []
    buffer.expire(waited_ms * 1_000_000)
    assert released.all == [(1, 1)]
    assert waited_ms * 1_000_000 <= longest_wait_ns(WAIT_NS)
