"""Notes: events that the server puts among the recording's, each written once, whichever worker wrote it."""

from collections.abc import Iterable

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import MediaEvent
from recorder.worker.protocol import RecordEvent

NOTES_MAX = 1024  # of one recording: answers of all its people, each some times


class Notes:
    """Which notes are written; `before` are the events that an earlier worker wrote."""

    def __init__(self, before: Iterable[MediaEvent] = ()) -> None:
        self._ids: set[str] = set()
        self._written = {_without_time(event) for event in before}

    def is_new(self, note: RecordEvent) -> bool:
        """Whether it is to be written now; overloaded (503) where there are too many."""
        if note.id in self._ids:
            return False
        if len(self._ids) >= NOTES_MAX:
            raise BystanderError(
                "overloaded", "The recording has all the notes it takes.", fault=Fault.RESOURCE, status=503
            )
        self._ids.add(note.id)
        return _without_time(note.event) not in self._written


def _without_time(event: MediaEvent) -> bytes:
    """All but the time, which the worker has put in."""
    return msgspec.json.encode(msgspec.structs.replace(event, at_s=0.0))
