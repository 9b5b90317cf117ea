"""What an object lacks of what was recorded, by what the spool's ending promises; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from recorder.kernel.media import FragmentKind, MediaEvent
from storage.spool.format import IndexEntry, SpoolEnding, index_digest
from storage.upload_plan.state import StoredObject


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Bytes that are gone, and the recording's time that they and blank fragments took."""

    bytes: int = 0
    duration_us: int = 0
    altered: bool = False  # as long as it was, and not what was recorded; nobody can say where


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
    altered = is_altered(recorded, ending)
    stop = max(recorded[-1].stop if recorded else 0, held)
    lost = max(0, ending.bytes - stop)
    end_us = max((entry.start_us + entry.duration_us for entry in recorded), default=0)
    lost_us = max(0, ending.duration_us - end_us) if lost else 0
    return Shortfall(lost, blank_us + lost_us, altered)


def missing_event(stored: StoredObject, ending: SpoolEnding | None) -> bytes:
    """The line of events.jsonl that says what the object lacks; it stands last, at the recording's end."""
    event = MediaEvent(
        kind="media_missing",
        at_s=0.0 if ending is None else ending.duration_us / 1e6,
        detail={
            "missing_s": stored.missing_us / 1e6,
            "missing_bytes": stored.missing_bytes,
            "damaged_fragments": stored.damaged_fragments,
            "altered": stored.altered,
        },
    )
    return msgspec.json.encode(event) + b"\n"


def is_altered(recorded: Sequence[IndexEntry], ending: SpoolEnding) -> bool:
    """Whether the index is not known to be the one that the writer wrote, though it is as long."""
    if ending.derived:
        return True
    if not ending.digest or not recorded or recorded[-1].stop != ending.bytes:
        return False
    return index_digest(recorded) != ending.digest
