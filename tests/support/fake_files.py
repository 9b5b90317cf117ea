"""In-memory fulfilment of the ports for files, snapshots and backgrounds."""

import asyncio
import builtins
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from recorder.kernel.errors import BystanderError, Fault, caller_error, not_found
from recorder.kernel.files.file import (
    Background,
    ConversationServices,
    FileKind,
    FileState,
    PictureSource,
    SharedFile,
    StorageService,
)
from recorder.kernel.ids import new_id
from recorder.kernel.message import Message, MessageKind
from recorder.kernel.permissions import AGENTS
from signaling.ports import Caller, MediaBytes

if TYPE_CHECKING:
    from tests.support.fake_ports import FakeServer

ON = StorageService(enabled=True)
FAILED = StorageService(enabled=False, reason="storage_test_failed")


class BytesReader:
    """Bytes that are open for reading."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, start: int, stop: int) -> AsyncIterator[bytes]:
        yield self._data[start:stop]

    async def close(self) -> None:
        """Nothing is held open."""


def opened(data: bytes, content_type: str, filename: str) -> MediaBytes:
    """As a service would hand them out."""
    return MediaBytes(
        size=len(data),
        complete=True,
        etag="bytes",
        content_type=content_type,
        filename=filename,
        reader=BytesReader(data),
    )


@dataclass
class FakeFiles:
    """Files, uploads and snapshots; what was received is available at once."""

    server: "FakeServer"
    files: dict[str, SharedFile] = field(default_factory=dict)
    data: dict[str, bytearray] = field(default_factory=dict)
    services_on: bool = True  # as far as settings say
    storage_on: bool = True
    bytes_max: int | None = None  # as it is for everybody
    watchers: set[asyncio.Queue[SharedFile]] = field(default_factory=set)

    async def services(self, caller: Caller, conversation: str) -> ConversationServices:
        self.server.conversation(conversation)
        one = ON if self.storage_on else FAILED
        if not self.services_on:
            one = StorageService(enabled=False, reason="file_transfer_disabled")
        who = caller.participant
        backgrounds = one
        if who is not None and who.role not in AGENTS:
            backgrounds = StorageService(enabled=False, reason="backgrounds_disabled")
        bounds = {} if self.bytes_max is None else {"file_bytes_max": self.bytes_max}
        recording = ON if self.storage_on else FAILED
        return ConversationServices(
            file_transfer=one, snapshots=one, backgrounds=backgrounds, recording=recording, **bounds
        )

    async def storage_works(self) -> bool:
        return self.storage_on

    async def list(
        self, caller: Caller, conversation: str, *, after: str | None, limit: int
    ) -> builtins.list[SharedFile]:
        self.server.conversation(conversation)
        mine = [one for one in self.files.values() if one.conversation == conversation]
        return [one for one in mine if after is None or one.id > after][:limit]

    async def get(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        found = self.files.get(file)
        role = caller.participant.role if caller.participant else None
        if found is None or found.conversation != conversation or not found.is_shown_to(role):
            raise not_found("file")
        return found

    async def content(self, caller: Caller | None, conversation: str, file: str) -> MediaBytes:
        found = await self.get(caller or Caller(), conversation, file)
        if found.state is not FileState.AVAILABLE:
            raise caller_error("file_not_available", "This file cannot be fetched (yet).", status=409)
        return opened(bytes(self.data[file]), "application/octet-stream", found.filename)

    async def watch(self, conversation: str) -> AsyncIterator[SharedFile]:
        queue: asyncio.Queue[SharedFile] = asyncio.Queue()
        self.watchers.add(queue)
        try:
            while True:
                file = await queue.get()
                if file.conversation == conversation:
                    yield file
        finally:
            self.watchers.discard(queue)

    async def create(
        self, caller: Caller, conversation: str, *, filename: str, content_type: str, length: int
    ) -> SharedFile:
        self.server.called("uploads.create")
        self.server.conversation(conversation)
        if not self.storage_on:
            raise BystanderError(
                "storage_test_failed", "The storage test failed.", fault=Fault.DESTINATION, status=503
            )
        if not self.services_on:
            raise caller_error("file_transfer_disabled", "Files cannot be sent.", status=403)
        who = caller.participant
        file = SharedFile(
            id=new_id("file"),
            conversation=conversation,
            state=FileState.UPLOADING,
            filename=filename,
            content_type=content_type or "application/octet-stream",
            bytes=length,
            participant=who.id if who else None,
            name=who.name if who else None,
            created_at=self.server.now(),
        )
        self.data[file.id] = bytearray()
        return self._changed(file)

    async def find(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        return await self.get(caller, conversation, file)

    async def append(
        self, caller: Caller, conversation: str, file: str, *, offset: int, chunks: AsyncIterator[bytes]
    ) -> SharedFile:
        self.server.called("uploads.append")
        found = await self.get(caller, conversation, file)
        if offset != found.received:
            raise caller_error("offset_wrong", f"The upload goes on at {found.received}.", status=409)
        async for chunk in chunks:
            self.data[file] += chunk
        received = msgspec.structs.replace(found, received=len(self.data[file]))
        if received.received < received.bytes:
            return self._changed(received)
        self.finish(file)
        return self.files[file]

    async def cancel(self, caller: Caller, conversation: str, file: str) -> None:
        await self.get(caller, conversation, file)
        del self.files[file]

    def expires_at(self) -> datetime:
        return self.server.now() + timedelta(days=1)

    async def ask(
        self, caller: Caller, conversation: str, *, subject: str, source: PictureSource
    ) -> SharedFile:
        who = caller.participant
        return self._changed(
            SharedFile(
                id=new_id("file"),
                conversation=conversation,
                kind=FileKind.SNAPSHOT,
                state=FileState.ASKED,
                filename="snapshot.png",
                content_type="image/png",
                bytes=0,
                participant=who.id if who else None,
                name=who.name if who else None,
                subject=subject,
                source=source,
                created_at=self.server.now(),
            )
        )

    async def take(
        self, caller: Caller, conversation: str, file: str, *, chunks: AsyncIterator[bytes]
    ) -> SharedFile:
        found = self._of_subject(caller, conversation, file)
        self.data[file] = bytearray(b"".join([chunk async for chunk in chunks]))
        self.files[file] = msgspec.structs.replace(found, bytes=len(self.data[file]))
        self.finish(file)
        return self.files[file]

    async def refuse(self, caller: Caller, conversation: str, file: str, *, reason: str) -> SharedFile:
        found = self._of_subject(caller, conversation, file)
        return self._changed(msgspec.structs.replace(found, state=FileState.REFUSED, failure=reason))

    def finish(self, file: str) -> None:
        """It is in the store from now on, and stands among the messages."""
        found = self.files[file]
        available = msgspec.structs.replace(
            found, state=FileState.AVAILABLE, received=found.bytes, available_at=self.server.now()
        )
        snapshot = found.kind is FileKind.SNAPSHOT
        self.server.messages.said.append(
            Message(
                id=new_id("msg"),
                conversation=found.conversation,
                kind=MessageKind.SNAPSHOT_TAKEN if snapshot else MessageKind.FILE_SHARED,
                at=self.server.now(),
                participant=found.participant,
                name=found.name,
                file=file,
                filename=found.filename,
                bytes=found.bytes,
                content_type=found.content_type,
            )
        )
        self._changed(available)

    def _of_subject(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        found = self.files.get(file)
        if found is None or found.conversation != conversation:
            raise not_found("snapshot")
        return found

    def _changed(self, file: SharedFile) -> SharedFile:
        self.files[file.id] = file
        for queue in self.watchers:
            queue.put_nowait(file)
        return file


@dataclass
class FakeBackgrounds:
    server: "FakeServer"
    kept: dict[str, Background] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    built_in: bool = True

    async def add(
        self, account: str, template: str | None, *, name: str, chunks: AsyncIterator[bytes]
    ) -> Background:
        data = b"".join([chunk async for chunk in chunks])
        made = Background(
            id=new_id("bg"),
            account=account,
            template=template,
            name=name,
            content_type="image/png" if data.startswith(b"\x89PNG") else "image/jpeg",
            bytes=len(data),
            width=640,
            height=360,
            created_at=self.server.now(),
        )
        self.kept[made.id], self.data[made.id] = made, data
        return made

    async def list(self, account: str, template: str | None) -> builtins.list[Background]:
        return [one for one in self.kept.values() if one.account == account]

    async def remove(self, account: str, background: str) -> None:
        self._of(account, background)
        del self.kept[background]

    async def content(self, account: str | None, background: str) -> MediaBytes:
        found = self._of(account, background)
        return opened(self.data[background], found.content_type, found.name)

    async def offered(self, caller: Caller, conversation: str) -> tuple[bool, builtins.list[Background]]:
        return self.built_in, await self.list(self.server.conversation(conversation).account, None)

    def _of(self, account: str | None, background: str) -> Background:
        found = self.kept.get(background)
        if found is None or account not in (None, found.account):
            raise not_found("background")
        return found
