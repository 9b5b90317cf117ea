"""What happens to the recordings of a node, for whoever wants to know."""

import logging
from collections.abc import Callable

from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase

_log = logging.getLogger(__name__)

Listener = Callable[[RecordingActor, Phase | None], None]
"""Called with a recording and the phase it was in before: the same where it grew, None for a new one."""


class RecordingChanges:
    """Fan-out of changes, each in the order in which it happened. The composition names who listens."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, *listeners: Listener) -> None:
        """Call each of these with every change from now on; they return at once."""
        self._listeners.extend(listeners)

    def publish(self, actor: RecordingActor, before: Phase | None) -> None:
        """Tell all of them; a defect of one is neither the recording's nor the others'."""
        for listener in self._listeners:
            try:
                listener(actor, before)
            except Exception:  # noqa: BLE001 - whatever it is, a recording goes on
                _log.exception("a change of a recording was not taken", extra={"recording": actor.row.id})
