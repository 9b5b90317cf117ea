"""Recordings of a conversation as a room knows them. Pure."""

from collections.abc import Iterator

import msgspec

from recorder.kernel.recording import Recording, RecordingState
from signaling.room.core import announcement
from signaling.room.core.limits import RECORDINGS_SHOWN_MAX


class KnownRecordings:
    """The newest RECORDINGS_SHOWN_MAX, and every one that runs, each as it was last heard of."""

    def __init__(self) -> None:
        self._by_id: dict[str, Recording] = {}

    def __iter__(self) -> Iterator[Recording]:
        return iter(self._by_id.values())

    def __contains__(self, recording: str) -> bool:
        return recording in self._by_id

    def in_order(self) -> list[Recording]:
        """As they were asked for, oldest first."""
        return sorted(self, key=lambda recording: recording.id)

    def active(self) -> list[Recording]:
        """Those that were asked for and have not ended."""
        return [recording for recording in self if announcement.is_active(recording)]

    def take(self, recording: Recording) -> bool:
        """Keep it as it is now; whether that is something to tell."""
        before = self._by_id.get(recording.id)
        if _failed_without_media(recording):  # the newest of those in a row stands for them
            self._forget_failed_before(recording)
        self._by_id[recording.id] = recording
        self._forget_old()
        return before is None or _announced(before) != _announced(recording)

    def _forget_failed_before(self, recording: Recording) -> None:
        for earlier in reversed(self.in_order()):
            if earlier.id < recording.id:
                if not _failed_without_media(earlier):
                    return
                del self._by_id[earlier.id]

    def _forget_old(self) -> None:
        ended = [each.id for each in self.in_order() if not announcement.is_active(each)]
        for old in ended[: max(0, len(self._by_id) - RECORDINGS_SHOWN_MAX)]:
            del self._by_id[old]


def _failed_without_media(recording: Recording) -> bool:
    return recording.state is RecordingState.FAILED and recording.started_at is None


def _announced(recording: Recording) -> tuple[Recording, bool]:
    """The recording without what changes all the time while it runs: that is nothing to tell a room.

    It grows, and the TURN credentials of its entry point are new at every look.
    """
    taking = announcement.is_publishable(recording)
    if not announcement.is_active(recording):
        return recording, taking
    return msgspec.structs.replace(recording, bytes=None, duration_s=None, entry_point=None), taking
