"""Presences: who took part in recordings, in and out of the database."""

import msgspec
from sqlalchemy import delete, insert, select

from recorder.database.connection import Database
from recorder.database.rows import fields
from recorder.database.schema import presences, recordings
from recorder.kernel.recording import Presence


class PresenceTable:
    """The roster of each recording, in the order in which people came."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def replace(self, recording: str, roster: list[Presence]) -> None:
        """Keep this roster instead of the one before; nothing where the recording was deleted."""
        rows = [{"recording": recording, **msgspec.structs.asdict(presence)} for presence in roster]
        async with self._database.writing() as connection:
            there = select(recordings.c.id).where(recordings.c.id == recording)
            await connection.execute(delete(presences).where(presences.c.recording == recording))
            if rows and (await connection.execute(there)).first() is not None:
                await connection.execute(insert(presences), rows)

    async def of(self, recordings_: list[str]) -> dict[str, list[Presence]]:
        """By recording, each with its own."""
        c = presences.c
        query = select(presences).where(c.recording.in_(recordings_)).order_by(c.joined_at, c.participant)
        found: dict[str, list[Presence]] = {recording: [] for recording in recordings_}
        async with self._database.reading() as connection:
            for row in (await connection.execute(query)).all():
                found[row.recording].append(msgspec.convert(fields(row), Presence))
        return found
