"""Snapshots: an agent asks for a picture of somebody's camera or share, whose own page makes and sends it.

So it has the full resolution of the source and not what the network left of it, and nothing is ever taken of
somebody without their page, which tells them, or asks them where the conversation's consent is `ask`.
"""

from collections.abc import AsyncIterator

import msgspec

from recorder.archive.archive import Archive
from recorder.archive.file_spool import PREFIX
from recorder.database import ConversationTable
from recorder.database.files import FileTable
from recorder.kernel.clock import Clock
from recorder.kernel.conversation import Participant
from recorder.kernel.errors import BystanderError, caller_error, not_found
from recorder.kernel.files.file import FileKind, FileState, PictureSource, SharedFile
from recorder.kernel.ids import new_id
from recorder.kernel.permissions import AGENTS
from recorder.services.files.file_changes import FileChanges
from recorder.services.files.finishing import FileFinishing
from recorder.services.files.pictures import PictureReception
from recorder.services.files.service_terms import ServiceTerms
from recorder.services.files.uploads import add_within, file_row
from signaling.ports import Caller


class ConversationSnapshots:
    """Fulfils signaling.file_port.Snapshots."""

    def __init__(
        self,
        table: FileTable,
        conversations: ConversationTable,
        pictures: PictureReception,
        terms: ServiceTerms,
        archive: Archive,
        finishing: FileFinishing,
        changes: FileChanges,
        clock: Clock,
        node: str,
    ) -> None:
        self._table = table
        self._conversations = conversations
        self._pictures = pictures
        self._terms = terms
        self._archive = archive
        self._finishing = finishing
        self._changes = changes
        self._clock = clock
        self._node = node

    async def ask(
        self, caller: Caller, conversation: str, *, subject: str, source: PictureSource
    ) -> SharedFile:
        """422 not_a_visitor: agents take pictures of visitors, and of nobody else."""
        who = caller.participant
        await self._terms.allow_snapshot(conversation, who.role if who else None)
        shown = await self._participant(conversation, subject)
        if shown.role in AGENTS:
            raise caller_error("not_a_visitor", "Snapshots are taken of visitors only.", status=422)
        file = self._asked(conversation, who, shown, source)
        await add_within(self._table, file_row(file, self._archive, self._node))
        self._changes.publish(file)
        return file

    async def take(
        self, caller: Caller, conversation: str, file: str, *, chunks: AsyncIterator[bytes]
    ) -> SharedFile:
        """The picture itself, by whom it shows; it is stored like any other file."""
        asked = await self._of_subject(caller, conversation, file)
        await self._terms.storage_allowed()
        picture = await self._pictures.receive(file, chunks)
        taken = msgspec.structs.replace(
            asked,
            state=FileState.STORING,
            content_type=picture.content_type,
            bytes=picture.bytes,
            received=picture.bytes,
            width=picture.width,
            height=picture.height,
        )
        await self._table.received(taken)
        self._changes.publish(taken)
        self._finishing.wake()
        return taken

    async def refuse(self, caller: Caller, conversation: str, file: str, *, reason: str) -> SharedFile:
        """There will be no picture; whoever asked is told why."""
        asked = await self._of_subject(caller, conversation, file)
        return await self._finishing.refuse(asked, reason)

    def _asked(
        self, conversation: str, who: Participant | None, shown: Participant, source: PictureSource
    ) -> SharedFile:
        now = self._clock.utc_now()
        return SharedFile(
            id=new_id(PREFIX),
            conversation=conversation,
            kind=FileKind.SNAPSHOT,
            state=FileState.ASKED,
            filename=f"snapshot_{now:%Y-%m-%d_%H-%M-%S}.png",
            content_type="image/png",
            bytes=0,
            participant=who.id if who else None,
            name=who.name if who else None,
            subject=shown.id,
            source=source,
            created_at=now,
        )

    async def _of_subject(self, caller: Caller, conversation: str, file: str) -> SharedFile:
        found = (await self._table.get(conversation, file)).file
        who = caller.participant
        if found.kind is not FileKind.SNAPSHOT or (who is not None and found.subject != who.id):
            raise not_found("snapshot")
        if found.state is not FileState.ASKED:
            raise _over()
        return found

    async def _participant(self, conversation: str, participant: str) -> Participant:
        await self._conversations.get(conversation)
        for known in await self._conversations.participants(conversation):
            if known.id == participant:
                return known
        raise not_found("participant")


def _over() -> BystanderError:
    return caller_error("snapshot_over", "This snapshot was taken, refused or given up.", status=409)
