"""The recording policy of a room: who may do and see what, and whom the hidden participant takes. Pure."""

from collections.abc import Callable, Collection
from datetime import datetime
from urllib.parse import urlencode, urlsplit

import msgspec

from recorder.kernel.conversation import Consent, Participant, Role
from recorder.kernel.media import IceTransportPolicy
from recorder.kernel.message import ConsentAnswer
from recorder.kernel.permissions import ConversationTerms
from recorder.kernel.recording import Recording, RecordingState, RecordingType, StartsWith
from signaling.room.core.messages import Publish, RecordingNotice

_WHIP = "/whip/"
_AGENTS = frozenset({Role.AGENT, Role.SECONDARY_AGENT})
CALL_SEATS_MIN = 2  # only then is there a conversation

_PUBLISHABLE = frozenset(
    {RecordingState.READY, RecordingState.RECORDING, RecordingState.PAUSED, RecordingState.INTERRUPTED}
)
_ACTIVE = frozenset({RecordingState.REQUESTED, RecordingState.LAUNCHING, *_PUBLISHABLE})

RecordingLinks = Callable[[Recording, datetime], dict[str, str]]
"""Links that a page may follow without a header, made for this moment: `media` plays."""


def own_links(recording: Recording, utc_now: datetime) -> dict[str, str]:
    """The links as the control plane gave them."""
    return recording.links


class RoomPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what with recordings in a room, and what is announced; `banner` None announces nothing."""

    may_record: frozenset[Role] = _AGENTS
    may_stop_automatic: frozenset[Role] = frozenset()
    may_play: frozenset[Role] = _AGENTS
    banner: str | None = "This call is being recorded"
    banner_paused: str | None = "The recording is paused"
    consent: Consent = Consent.ANNOUNCE
    starts_with: StartsWith = StartsWith.AGENT
    ice_transport_policy: IceTransportPolicy = IceTransportPolicy.ALL

    def within(self, terms: ConversationTerms) -> "RoomPolicy":
        """As it is in a conversation whose settings say this."""
        return msgspec.structs.replace(
            self,
            may_record=terms.allow_manual,
            may_stop_automatic=terms.allow_stop,
            may_play=terms.visible_to,
            banner=terms.banner,
            banner_paused=self.banner_paused if terms.banner is not None else None,
            consent=terms.consent,
            starts_with=terms.starts_with,
        )

    def may_see(self, role: Role) -> bool:
        """Whether somebody in this role is told of a recording that it is there, and what became of it."""
        return role in self.may_play

    def may_know(self, role: Role) -> bool:
        """Whether somebody in this role is told how recording goes beyond what is announced to everybody."""
        return self.may_see(role) or role in self.may_record

    def may_stop(self, role: Role, recording: Recording) -> bool:
        """Whether somebody in this role may stop this one: what started by itself has roles of its own."""
        return role in (self.may_stop_automatic if recording.automatic else self.may_record)

    def is_call(self, roles: Collection[Role]) -> bool:
        """Whether people in these roles, all who have a seat, are a call that is to be recorded."""
        if self.starts_with is StartsWith.AGENT:
            return not _AGENTS.isdisjoint(roles)
        return len(roles) >= CALL_SEATS_MIN

    def may_take(self, answer: ConsentAnswer | None) -> bool:
        """Whether anything may be taken of somebody who answered so, or not yet."""
        return self.consent is not Consent.ASK or answer is ConsentAnswer.AGREED


def is_active(recording: Recording) -> bool:
    """Whether this recording has been asked for and not ended: no second one is started beside it."""
    return recording.state in _ACTIVE


def is_publishable(recording: Recording) -> bool:
    """Whether its hidden participant takes streams now."""
    return recording.state in _PUBLISHABLE and recording.entry_point is not None


def notice(
    recording: Recording, *, role: Role, policy: RoomPolicy, links: RecordingLinks, utc_now: datetime
) -> RecordingNotice:
    """What somebody in `role`, who may see recordings, is told of this one; never its entry point."""
    may_play = recording.state is RecordingState.AVAILABLE and role in policy.may_play
    return RecordingNotice(
        id=recording.id,
        state=recording.state,
        type=recording.type,
        duration_s=recording.duration_s,
        bytes=recording.bytes,
        filename=recording.filename,
        problem=None if recording.failure is None else words(recording.failure),
        links=links(recording, utc_now) if may_play else {},
    )


def invitation(recording: Recording, participant: Participant, policy: RoomPolicy) -> Publish | None:
    """Where and as whom `participant` sends to the recording's hidden participant; None when it takes nobody.

    The URL is reduced to our own part of its path: the page reaches this server by its own origin, whatever
    the entry points' base URL is for others, and its content security policy allows no other.
    """
    if not is_publishable(recording) or recording.entry_point is None:
        return None
    address = urlsplit(recording.entry_point.url)
    publisher = urlencode({"participant": participant.id, "name": participant.name, "role": participant.role})
    query = f"{address.query}&{publisher}" if address.query else publisher
    return Publish(
        recording=recording.id,
        url=f"{address.path[address.path.rfind(_WHIP) :]}?{query}",
        token=recording.entry_point.token,
        ice_servers=recording.entry_point.ice_servers,
        ice_transport_policy=policy.ice_transport_policy,
        video=recording.type is RecordingType.AUDIO_VIDEO,
    )


# Failures in words: what one means for the call and whom to ask; what exactly broke is in the server's log.
_STORE = "the storage cannot be reached"
_RECORDER = "the recorder stopped unexpectedly"
_NOT_STARTED = "the recorder could not be started"
_WORDS = {
    "store_unreachable": _STORE,
    "store_throttled": "the storage is overloaded",
    "store_denied": "the storage refuses access",
    "store_failed": "the storage does not work",
    "store_full": "the storage is full",
    "bucket_missing": "the storage is not set up",
    "store_not_configured": "the storage is not set up",
    "store_changed": "the storage is not the one that was used before",
    "storage_test_failed": "the storage has failed its test",
    "disk_full": "the recorder's disk is full",
    "disk_almost_full": "the recorder's disk is almost full",
    "no_media": "no sound or picture reached the recorder",
    "overloaded": "the recorder has no room for another recording",
    "worker_died": _RECORDER,
    "worker_hung": _RECORDER,
    "worker_unreachable": _RECORDER,
    "worker_not_launched": _NOT_STARTED,
    "worker_not_ready": _NOT_STARTED,
    "engine_failed": _NOT_STARTED,
    "shutting_down": "the server is being restarted",
}
OTHERWISE = "the recorder has failed"


def words(failure: str) -> str:
    """What went wrong, as the end of a sentence."""
    return _WORDS.get(failure, OTHERWISE)
