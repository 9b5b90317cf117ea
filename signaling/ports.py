"""What signaling needs of the rest, written as Protocols; recorder.app hands in what fulfils them."""

import builtins
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from recorder.values import (
    Conversation,
    IceServer,
    Interaction,
    InteractionKind,
    LayerKind,
    Participant,
    PublishedSession,
    Publisher,
    Recording,
    Role,
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `participant` is None for an API key, which may do everything."""

    participant: Participant | None = None

    @property
    def is_api_key(self) -> bool:
        return self.participant is None


@dataclass(frozen=True, slots=True)
class MediaBytes:
    """An open reading of a recording. `size` is what is readable now; it grows while `complete` is False."""

    size: int
    complete: bool
    etag: str
    content_type: str
    filename: str

    reader: "MediaReader"


class MediaReader(Protocol):
    def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes [start, stop) in chunks; raises BystanderError when they cannot be had."""
        ...

    async def close(self) -> None: ...


class Authority(Protocol):
    """Turns a bearer token into a Caller; raises BystanderError (401 unauthorized) when it is no good."""

    async def authenticate(self, token: str) -> Caller: ...


class Conversations(Protocol):
    async def create(
        self,
        *,
        template: str | None,
        external_id: str | None,
        metadata: dict[str, str],
        account: str = "default",
    ) -> Conversation: ...
    async def get(self, conversation: str) -> Conversation: ...
    async def list(self, *, after: str | None, limit: int) -> list[Conversation]: ...
    async def end(self, conversation: str) -> Conversation: ...
    async def delete(self, conversation: str) -> None: ...
    async def add_participant(self, conversation: str, *, role: Role, name: str) -> Participant: ...
    async def participants(self, conversation: str) -> builtins.list[Participant]: ...
    async def start_interaction(
        self, conversation: str, *, kind: InteractionKind, layer: LayerKind | None
    ) -> Interaction: ...
    async def end_interaction(self, conversation: str, interaction: str) -> Interaction: ...


class Recordings(Protocol):
    async def start(self, conversation: str, *, started_by: Caller) -> Recording:
        """A manual start: returns once the entry point takes publishers (READY), with it inside."""
        ...

    async def get(self, recording: str) -> Recording: ...
    async def list(self, conversation: str) -> list[Recording]: ...
    async def stop(self, recording: str) -> Recording:
        """Ask it to end; returns at FINALIZING or later. Stopping twice is the same as once."""
        ...

    async def pause(self, recording: str) -> Recording: ...
    async def resume(self, recording: str) -> Recording: ...
    async def media(self, recording: str) -> MediaBytes: ...
    def watch(self, conversation: str) -> AsyncIterator[Recording]:
        """Every recording of the conversation whenever it changes, beginning with how each is now.

        For use inside the server: each carries its entry point while that takes publishers, and the room
        tells it to its participants. An edge that passes these on takes the entry point out.
        """
        ...


class EntryPoints(Protocol):
    """WHIP resources. `entry_point` is the opaque last part of the secret URL."""

    async def check(self, entry_point: str, token: str | None) -> list[IceServer]:
        """404 unknown or expired, 401 wrong token; else the ICE servers to advertise."""
        ...

    async def publish(self, entry_point: str, publisher: Publisher, offer: str) -> PublishedSession: ...
    async def trickle(
        self, entry_point: str, session: str, fragment: str, if_match: str | None
    ) -> tuple[str, str] | None:
        """None: candidates taken. (SDP fragment, new ETag): ICE was restarted. 412 when the tag is stale.

        Entity tags pass this wall without quotes; `if_match` "*" asks for a restart.
        """
        ...

    async def unpublish(self, entry_point: str, session: str) -> None: ...


class StorageProbe(Protocol):
    async def test(self) -> dict[str, Any]:
        """Try the configured store: {"ok": bool, "steps": [{"name", "ok", "seconds", "detail"}]}."""
        ...


class Health(Protocol):
    async def ready(self) -> dict[str, bool]:
        """Each dependency by name, and whether it can be used now; all True is ready."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything signaling is composed with."""

    authority: Authority
    conversations: Conversations
    recordings: Recordings
    entry_points: EntryPoints
    storage: StorageProbe
    health: Health
