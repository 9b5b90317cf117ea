"""Looking back: conversations found again, recordings with what stands around them, minutes recorded."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from recorder.database.history import HistoryTable
from recorder.database.presences import PresenceTable
from recorder.database.usage import UsageTable
from recorder.kernel.conversation import Conversation, Participant
from recorder.kernel.history import (
    ConversationOverview,
    ConversationSearch,
    RecordedParticipant,
    RecordingDetails,
    RecordingSearch,
    UsagePeriod,
    UsageRow,
)
from recorder.kernel.recording import Presence, Recording, RecordingRow

Shown = Callable[[RecordingRow], Recording]
"""A row as the API says it, with what is newer of a recording that still runs."""


class History:
    """Fulfils signaling.ports.History."""

    def __init__(
        self, table: HistoryTable, presences: PresenceTable, usage: UsageTable, shown: Shown
    ) -> None:
        self._table = table
        self._presences = presences
        self._usage = usage
        self._shown = shown

    async def conversations(self, search: ConversationSearch) -> list[Conversation]:
        return await self._table.conversations(search)

    async def overviews(self, search: ConversationSearch) -> list[ConversationOverview]:
        return await self._table.overviews(search)

    async def recordings(self, search: RecordingSearch) -> list[RecordingDetails]:
        return await self._details(await self._table.recordings(search))

    async def details(self, recording: str) -> RecordingDetails:
        """404 not_found where there is no such recording."""
        (found,) = await self._details([await self._table.recording(recording)])
        return found

    async def usage(
        self, *, account: str | None, first: datetime, until: datetime, by: UsagePeriod
    ) -> list[UsageRow]:
        return await self._usage.of(account=account, first=first, until=until, by=by)

    async def _details(self, rows: list[RecordingRow]) -> list[RecordingDetails]:
        conversations, participants, attempts = await self._table.around(rows)
        rosters = await self._presences.of([row.id for row in rows])
        return [
            RecordingDetails(
                id=row.id,
                recording=self._shown(row),
                conversation=conversations[row.conversation],
                participants=recorded(row.conversation, participants[row.conversation], rosters[row.id]),
                attempts=attempts[row.id],
            )
            for row in rows
            if row.conversation in conversations  # else it was deleted between the two readings
        ]


def recorded(
    conversation: str, registered: list[Participant], roster: list[Presence]
) -> list[RecordedParticipant]:
    """Everybody registered, and who published besides, with when the media of each came and went; pure."""
    came = {presence.participant: presence for presence in roster}
    known = [_recorded(msgspec.structs.asdict(one), came.pop(one.id, None)) for one in registered]
    return known + [
        _recorded(
            {
                "id": presence.participant,
                "conversation": conversation,
                "role": presence.role,
                "name": presence.name,
            },
            presence,
        )
        for presence in came.values()
    ]


def _recorded(who: dict[str, Any], presence: Presence | None) -> RecordedParticipant:
    if presence is None:
        return RecordedParticipant(**who)
    return RecordedParticipant(**who, joined_at=presence.joined_at, left_at=presence.left_at)
