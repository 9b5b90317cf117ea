"""The rooms that are open on this server, by conversation: found, opened, and closed when it stops."""

import asyncio
import logging

from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError
from recorder.kernel.message import ConsentAnswer, Message
from recorder.kernel.permissions import ConversationTerms
from signaling.room.connection import Connection
from signaling.room.core.messages import ChatLine, CloseCode, Past
from signaling.room.open_room import OpenRoom
from signaling.room.past import past_of
from signaling.room.terms import Guest, RoomTerms

STORAGE_LOOK_S = 2.0  # between looks at the storage test's verdict: one small file

_log = logging.getLogger(__name__)


class Rooms:
    """Finds or opens the room of a conversation, and closes all of them when the server stops."""

    def __init__(self, terms: RoomTerms) -> None:
        self._terms = terms
        self._open: dict[str, OpenRoom] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def enter(self, connection: Connection, guest: Guest) -> tuple[OpenRoom, int]:
        """Seat a participant in their conversation's room."""
        conversation = guest.participant.conversation
        room = self._open.get(conversation) or self._new(conversation, guest)
        return room, room.enter(connection, guest, self._terms.ice_servers(guest.participant))

    def is_open(self, conversation: str) -> bool:
        """Whether somebody has a seat there, so that what was said is known."""
        return conversation in self._open

    def is_seated(self, conversation: str, participant: str) -> bool:
        """Whether this participant's page is in the room now."""
        room = self._open.get(conversation)
        return room is not None and room.is_seated(participant)

    async def past(self, participant: Participant, counts: ConversationTerms) -> Past:
        """A conversation that has ended, as this participant may read it."""
        return await past_of(self._terms, participant, counts)

    def heard(self, message: Message) -> None:
        """Somebody said this by the API: whoever is in the room hears it."""
        room = self._open.get(message.conversation)
        if room is not None:
            sender, name = message.participant or "", message.name or ""
            room.heard(ChatLine(sender=sender, name=name, text=message.text or "", at=message.at))

    def consent_kept(self, conversation: str, participant: str, answer: ConsentAnswer) -> None:
        """Somebody's answer came by the API."""
        room = self._open.get(conversation)
        if room is not None:
            room.consent_kept(participant, answer)

    def expel(self, conversation: str, participant: str) -> None:
        """Their token was replaced: whoever came in by the one before is out."""
        room = self._open.get(conversation)
        if room is not None:
            room.expel(participant)

    def end(self, conversation: str) -> None:
        """The conversation has ended: its room, where there is one, is closed."""
        room = self._open.get(conversation)
        if room is not None:
            room.end(CloseCode.ENDED)

    async def watch_storage(self) -> None:
        """Tell every room when what needs the store is switched off, or on again; without an end."""
        worked = True
        while True:
            works = await self._storage_works(worked)
            if works is not worked:
                worked = works
                for room in list(self._open.values()):
                    room.services_changed()
            await asyncio.sleep(STORAGE_LOOK_S)

    async def _storage_works(self, worked: bool) -> bool:
        try:
            return await self._terms.ports.files.storage_works()
        except BystanderError as error:
            _log.warning("The storage test's verdict cannot be read: %s", error)
            return worked

    async def close(self) -> None:
        """The server stops: everybody is sent away to come back later; returns when that has been told."""
        for room in list(self._open.values()):
            room.end(CloseCode.UNAVAILABLE)
        await asyncio.gather(*self._closing)

    def _new(self, conversation: str, guest: Guest) -> OpenRoom:
        room = OpenRoom(conversation, self._terms, guest, lambda: self._forget(conversation))
        self._open[conversation] = room
        return room

    def _forget(self, conversation: str) -> None:
        closing = asyncio.get_running_loop().create_task(self._open.pop(conversation).closed())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
