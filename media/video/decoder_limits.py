"""Bounds of decoding: memory shared by a publisher's streams and by a recording's, time of each stream."""

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from recorder.kernel.limits import (
    DECODER_BYTES_PER_PUBLISHER_MAX,
    DECODER_BYTES_PER_RECORDING_MAX,
    MIB,
)

TIME_SHARE_MAX = 0.6  # of a processor: 4K at 30 pictures a second takes less, and others are left the rest
TIME_BURST_NS = 2_000_000_000  # that a stream may save up: a large key frame, and what waited for it
REST_NS = 1_000_000_000  # that a stream must have saved up again before it is decoded after it took too much
TRIMMED_BYTES_MIN = 16 * MIB  # less than this the allocator keeps, and uses for the next decoder


class MemoryShare:
    """Bytes that decoders may hold, as a part of what another share has."""

    def __init__(self, bytes_max: int, whole: "MemoryShare | None" = None) -> None:
        self._left = bytes_max
        self._whole = whole

    def take(self, count: int) -> bool:
        """Take so many bytes, of the whole too; False, and nothing is taken, when either has too few."""
        if count > self._left or (self._whole is not None and not self._whole.take(count)):
            return False
        self._left -= count
        return True

    def give(self, count: int) -> None:
        """Give them back."""
        self._left += count
        if self._whole is not None:
            self._whole.give(count)


def recording_share() -> MemoryShare:
    """What all decoders of a recording may hold."""
    return MemoryShare(DECODER_BYTES_PER_RECORDING_MAX)


def publisher_share(recording: MemoryShare) -> MemoryShare:
    """What the decoders of one of its publishers may hold."""
    return MemoryShare(DECODER_BYTES_PER_PUBLISHER_MAX, recording)


class DecodingTime:
    """Processor time of one stream's decoder, against the time in which its frames arrived.

    A stream that takes too much rests until it has saved up REST_NS; `cpu_ns` reads the thread's clock.
    """

    def __init__(self, cpu_ns: Callable[[], int]) -> None:
        self._cpu_ns = cpu_ns
        self._saved_ns = TIME_BURST_NS
        self._arrival_ns: int | None = None
        self._resting = False

    def allows(self, arrival_ns: int) -> bool:
        """Whether a frame that arrived then may be decoded."""
        if self._arrival_ns is not None:
            passed_ns = max(0, arrival_ns - self._arrival_ns)
            self._saved_ns = min(TIME_BURST_NS, self._saved_ns + int(passed_ns * TIME_SHARE_MAX))
        self._arrival_ns = max(arrival_ns, self._arrival_ns or arrival_ns)
        self._resting = self._saved_ns < (REST_NS if self._resting else 0)
        return not self._resting

    @contextmanager
    def spent(self) -> Iterator[None]:
        """Count what is done inside."""
        began_ns = self._cpu_ns()
        try:
            yield
        finally:
            self._saved_ns -= self._cpu_ns() - began_ns


def give_back_memory(freed_bytes: int) -> None:
    """Let the allocator return to the system what a decoder has freed: the heap keeps it otherwise."""
    if freed_bytes >= TRIMMED_BYTES_MIN and (trim := _malloc_trim()) is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's malloc_trim(3); other C libraries have none."""
    function = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return function if function is None else functools.partial(function)
