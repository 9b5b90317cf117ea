"""Live recordings, each with what its worker last told and how far the store is behind."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from recorder.database import ConversationTable
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import Recording, Statistics
from recorder.recording.actor import RecordingActor
from recorder.recording.events import Phase
from recorder.services.recording.history import Shown
from signaling.console_port import LiveRecording
from storage.spool import format as form
from storage.upload_plan.state import UploadState

_SENDING = (Phase.RECORDING, Phase.PAUSED, Phase.INTERRUPTED, Phase.RESUMING, Phase.DRAINING, Phase.UPLOADING)


class LiveRecordings:
    """Reads only."""

    def __init__(
        self, actors: Iterable[RecordingActor], shown: Shown, conversations: ConversationTable, spool: Path
    ) -> None:
        self._actors = actors
        self._shown = shown
        self._conversations = conversations
        self._spool = spool

    async def of(self, account: str | None) -> list[LiveRecording]:
        """Those of an account; None: all."""
        found = []
        for actor in sorted(self._actors, key=lambda actor: actor.row.id):
            try:
                conversation = await self._conversations.get(actor.row.conversation)
            except BystanderError:  # it was deleted between two looks
                continue
            if account in (None, conversation.account):
                told = actor.worker.statistics if actor.worker else None
                recording = msgspec.structs.replace(self._shown(actor.row), entry_point=None)
                unsent = _unsent(self._spool, recording) if actor.phase in _SENDING else 0
                quiet = LiveRecording(
                    id=recording.id, recording=recording, conversation=conversation, unsent_bytes=unsent
                )
                found.append(quiet if told is None else _with_statistics(quiet, told))
        return found


def _with_statistics(live: LiveRecording, told: Statistics) -> LiveRecording:
    return msgspec.structs.replace(
        live,
        publishers=len(told.participants),
        packets_lost=sum(one.lost for one in told.participants),
        packets_recovered=sum(one.recovered for one in told.participants),
        dropped=sum(_whole(counts) for counts in (told.dropped, *(one.dropped for one in told.participants))),
        degraded=told.frame_rate_divisor > 1 or told.resolution_divisor > 1 or not told.thorough,
        spool_lag_s=round(told.spool_lag_s, 1),
    )


def _whole(counts: dict[str, int]) -> int:
    """Frames and packets; samples of sound, which come by the thousand, are of another unit."""
    return sum(number for reason, number in counts.items() if not reason.endswith("_samples"))


def _unsent(spool: Path, recording: Recording) -> int:
    """Bytes in the spool that no part in the store holds; a look at a file of some KiB in the page cache."""
    try:
        state = msgspec.json.decode((spool / recording.id / form.UPLOAD).read_bytes(), type=UploadState)
    except (OSError, msgspec.DecodeError):
        return recording.bytes or 0
    return max(0, (recording.bytes or 0) - sum(part.size for part in state.parts if part.etag))
