"""The terms of a room: what it is opened with, and who comes into it."""

from collections.abc import Callable
from typing import NamedTuple

from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.files.file import ConversationServices
from recorder.kernel.media import IceServer
from recorder.kernel.message import ConsentAnswer
from recorder.kernel.permissions import ConversationTerms
from signaling.ports import Ports
from signaling.room.core.announcement import RecordingLinks, RoomPolicy, own_links
from signaling.room.core.messages import ChatLine

IceServers = Callable[[Participant], list[IceServer]]


def no_ice_servers(participant: Participant) -> list[IceServer]:
    """Nothing configured: the browsers of one network find each other without help."""
    return []


class RoomTerms(NamedTuple):
    """What is the same for every room of this server."""

    ports: Ports
    clock: Clock
    policy: RoomPolicy
    links: RecordingLinks = own_links
    ice_servers: IceServers = no_ice_servers


class Guest(NamedTuple):
    """Who comes in, by which page; what counts in the conversation, their answer to being recorded,
    and what they may do beside talking.

    `history`: what is kept of the conversation, for a room that is not open yet.
    """

    participant: Participant
    instance: str
    counts: ConversationTerms = ConversationTerms()
    answer: ConsentAnswer | None = None
    history: tuple[ChatLine, ...] = ()
    services: ConversationServices | None = None
