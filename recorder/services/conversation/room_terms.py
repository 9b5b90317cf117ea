"""What the built-in room is told of the server's settings: how media may travel, and what is announced."""

from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.media import IceServer
from recorder.settings.definitions import Settings
from recorder.settings.ice_servers import ice_servers
from signaling.room.core.announcement import RoomPolicy
from signaling.room.terms import IceServers


def room_policy(settings: Settings) -> RoomPolicy:
    """In RELAYED mode the people in a room, too, talk through the TURN server alone."""
    return RoomPolicy(ice_transport_policy=settings.call.ice_transport_policy)


def room_ice_servers(settings: Settings, clock: Clock) -> IceServers:
    """ICE servers for one participant, with credentials that are good from now on."""

    def servers(participant: Participant) -> list[IceServer]:
        until = int(clock.utc_now().timestamp()) + settings.turn.credential_ttl_s
        return ice_servers(settings.call, settings.turn, who=participant.id, expires_unix_s=until)

    return servers
