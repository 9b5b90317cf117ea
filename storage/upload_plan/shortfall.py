"""What an object lacks of what was recorded, by what the spool's ending promises; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from recorder.kernel.media import FragmentKind
from storage.spool.format import CHECKSUM_UNKNOWN, IndexEntry, SpoolEnding, index_digest


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Bytes that are gone, and the recording's time that they and blank fragments took."""

    bytes: int = 0
    duration_us: int = 0


def shortfall(
    entries: Sequence[IndexEntry], ending: SpoolEnding | None, damaged: Sequence[int], *, held: int
) -> Shortfall:
    """Compare the contract, which is the ending, with what is shipped.

    `entries` are what is known of the spool, `damaged` the offsets of what is blank in the object, `held`
    how many bytes of the recording the object has where the spool has no records of them any more.
    """
    recorded = [entry for entry in entries if entry.kind is not FragmentKind.TABLES]
    blank_us = sum(entry.duration_us for entry in recorded if entry.offset in set(damaged))
    if ending is None:
        return Shortfall(0, blank_us)
    stop = max(recorded[-1].stop if recorded else 0, held)
    lost = max(0, ending.bytes - stop)
    end_us = max((entry.start_us + entry.duration_us for entry in recorded), default=0)
    lost_us = max(0, ending.duration_us - end_us) if lost else 0
    return Shortfall(lost, blank_us + lost_us)


def is_altered(entries: Sequence[IndexEntry], ending: SpoolEnding | None) -> bool:
    """Whether the index is as long as the ending says, and yet is not the one that the writer wrote."""
    recorded = [entry for entry in entries if entry.kind is not FragmentKind.TABLES]
    if ending is None or not ending.digest or len(recorded) != ending.fragments:
        return False
    if any(entry.crc32c == CHECKSUM_UNKNOWN for entry in recorded):
        return False  # derived again, of what the index lost
    return index_digest(recorded) != ending.digest
