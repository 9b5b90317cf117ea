"""Spools found at a start, sealed where their writer is gone; or what keeps one from it. Blocking."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import EndReason
from storage.spool import SpoolEnding, SpoolFacts, open_or_none, seal, spooled_recordings
from storage.spool.format import END, FACTS
from storage.spool.small_files import read_twice

WORKER_DIED = "worker_died"
SPOOL_DAMAGED = "spool_damaged"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A spool found at the start. `ending` is None while its worker still writes: it goes on as before.

    `damage` is the code of what keeps it from being taken up; then `facts` may be unknown, and it stays as
    it is.
    """

    recording: str
    facts: SpoolFacts | None
    ending: SpoolEnding | None
    damage: str | None = None


def find_spools(root: Path, going_on: Collection[str] = ()) -> list[Recovered]:
    """Every spool under the root, oldest first. Damage to one is that recording's alone.

    Those `going_on` are about to be written again, and are left open.
    """
    found = (_examined(root, recording, recording in going_on) for recording in spooled_recordings(root))
    return [recovered for recovered in found if recovered is not None]


def _examined(root: Path, recording: str, goes_on: bool) -> Recovered | None:
    try:
        return _examine(root, recording, goes_on)
    except BystanderError as error:
        _log.error("the spool of %s cannot be taken up: %s", recording, error)
        return Recovered(recording, None, None, damage=error.code)


def _examine(root: Path, recording: str, goes_on: bool) -> Recovered | None:
    facts = read_twice(root / recording / FACTS, SpoolFacts)
    if facts is None:
        return Recovered(recording, None, None, damage=SPOOL_DAMAGED)
    reader = open_or_none(root, recording)
    if reader is not None:
        try:
            if goes_on or reader.is_being_written:
                return Recovered(recording, facts, None)
        finally:
            reader.close()
        ending = seal(root, recording, EndReason.ABORT_UNEXPECTED, WORKER_DIED)
        return Recovered(recording, facts, ending)
    return Recovered(recording, facts, read_twice(root / recording / END, SpoolEnding))
