"""A recording's roster, kept in the database while it runs, and as its spool tells it at the end."""

import asyncio
import logging
from pathlib import Path

from recorder.archive.roster import Roster, roster_of
from recorder.database import RecordingRow
from recorder.database.presences import PresenceTable
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import MediaEvent
from recorder.settings.filename_pattern import name_with
from storage.spool import open_or_none

_log = logging.getLogger(__name__)


class RosterLog:
    """Follows what the worker tells; the spool's events make up for what was missed meanwhile."""

    def __init__(self, recording: str, spool: Path, table: PresenceTable) -> None:
        self._recording = recording
        self._spool = spool
        self._table = table
        self._roster = Roster()
        self._writing = asyncio.Lock()  # the last to be written is the newest

    def observe(self, event: MediaEvent) -> bool:
        """Take in what happened; whether the roster has to be written again."""
        return self._roster.observe(event)

    async def read(self) -> None:
        """Begin again with what the spool tells; a spool that cannot be read changes nothing."""
        try:
            lines = await asyncio.to_thread(_events, self._spool, self._recording)
        except (BystanderError, OSError) as error:
            _log.warning(
                "a roster cannot be read", extra={"recording": self._recording, "reason": str(error)}
            )
            return
        if lines:
            self._roster = roster_of(lines)

    async def end(self, duration_s: float) -> None:
        """The spool is whole: whoever is there by its events leaves with its end."""
        await self.read()
        self._roster.observe(MediaEvent(kind="ended", at_s=duration_s))

    async def write(self, row: RecordingRow) -> None:
        """Keep who took part by now; nothing before the recording's zero is known."""
        if row.started_at is None:
            return
        async with self._writing:
            try:
                await self._table.replace(row.id, self._roster.presences(row.started_at))
            except BystanderError as error:  # what comes later makes up for it
                _log.error("a roster is not kept", extra={"recording": row.id, "code": error.code})

    def filename(self, row: RecordingRow) -> str:
        """The name of the recording's file, with those who took part where it says so."""
        names = self._roster.names
        if row.filename_template is None or not names:
            return row.filename
        return name_with(row.filename_template, names) or row.filename


def _events(spool: Path, recording: str) -> bytes:
    reader = open_or_none(spool, recording)
    if reader is None:
        return b""
    try:
        return reader.events()
    finally:
        reader.close()
