"""What signaling needs of the rest for files of conversations, snapshots and backgrounds, as Protocols."""

import builtins
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

from recorder.kernel.files.file import Background, ConversationServices, PictureSource, SharedFile
from signaling.caller import Caller
from signaling.media_port import MediaBytes


class Files(Protocol):
    """Files that people sent, and pictures that were taken, in their conversation."""

    async def services(self, caller: Caller, conversation: str) -> ConversationServices:
        """What this caller may do now."""
        ...

    async def storage_works(self) -> bool:
        """Whether what needs the store is switched on; off from a failed storage test to one that passes."""
        ...

    async def list(
        self, caller: Caller, conversation: str, *, after: str | None, limit: int
    ) -> builtins.list[SharedFile]: ...
    async def get(self, caller: Caller, conversation: str, file: str) -> SharedFile: ...
    async def content(self, caller: Caller | None, conversation: str, file: str) -> MediaBytes:
        """None: whoever has a signed link. 409 file_not_available before it was checked and stored."""
        ...

    def watch(self, conversation: str) -> AsyncIterator[SharedFile]:
        """Every file of the conversation whenever it changes, for use inside the server."""
        ...


class Uploads(Protocol):
    """Files on their way here. The offset of an upload is what is safe on the disk."""

    async def create(
        self, caller: Caller, conversation: str, *, filename: str, content_type: str, length: int
    ) -> SharedFile:
        """403 file_transfer_disabled, 409 conversation_ended, 413 file_too_large, 429 too_many_uploads,
        503 storage_test_failed, 507 disk_full."""
        ...

    async def find(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        """How far it is; 404 for somebody else's."""
        ...

    async def append(
        self, caller: Caller, conversation: str, file: str, *, offset: int, chunks: AsyncIterator[bytes]
    ) -> SharedFile:
        """409 offset_wrong; what came before a failure is kept."""
        ...

    async def cancel(self, caller: Caller, conversation: str, file: str) -> None:
        """409 file_complete once all of it was received."""
        ...

    def expires_at(self) -> datetime:
        """Until when an upload that is touched now can be gone on with."""
        ...


class Snapshots(Protocol):
    """Pictures that agents have taken of somebody's camera or share."""

    async def ask(
        self, caller: Caller, conversation: str, *, subject: str, source: PictureSource
    ) -> SharedFile:
        """ASKED, until whoever is to be in it sends it; 403 snapshots_disabled, 404, 503."""
        ...

    async def take(
        self, caller: Caller, conversation: str, file: str, *, chunks: AsyncIterator[bytes]
    ) -> SharedFile:
        """The picture, by who is in it. 409 snapshot_over, 422 picture_invalid, 413 picture_too_large."""
        ...

    async def refuse(self, caller: Caller, conversation: str, file: str, *, reason: str) -> SharedFile:
        """By who would be in it: snapshot_refused, or why there is no picture."""
        ...


class Backgrounds(Protocol):
    """Pictures that agents may stand in front of, of an account or of one of its templates."""

    async def add(
        self, account: str, template: str | None, *, name: str, chunks: AsyncIterator[bytes]
    ) -> Background:
        """422 picture_invalid, 413 picture_too_large, 409 too_many_backgrounds, 503 storage_test_failed."""
        ...

    async def list(self, account: str, template: str | None) -> builtins.list[Background]:
        """Those of the account, and of this template; None: of every template."""
        ...

    async def remove(self, account: str, background: str) -> None: ...
    async def content(self, account: str | None, background: str) -> MediaBytes:
        """None: of whatever account."""
        ...

    async def offered(self, caller: Caller, conversation: str) -> tuple[bool, builtins.list[Background]]:
        """For an agent's camera: whether the built-in ones are offered, and which were uploaded; 403, 503."""
        ...
