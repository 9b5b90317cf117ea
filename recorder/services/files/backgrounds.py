"""Backgrounds: uploaded by administrators for an account or one of its templates, offered to its agents."""

import builtins
from collections.abc import AsyncIterator

from recorder.archive.archive import Archive
from recorder.archive.file_spool import FileSpool
from recorder.database import ConversationTable
from recorder.database.backgrounds import BackgroundRow, BackgroundTable
from recorder.kernel.clock import Clock
from recorder.kernel.errors import caller_error, not_found
from recorder.kernel.files.file import Background
from recorder.kernel.ids import new_id
from recorder.services.files.names import safe_filename
from recorder.services.files.pictures import PictureReception, scratch_id
from recorder.services.files.service_terms import ServiceTerms
from signaling.ports import Caller, MediaBytes
from storage.objects import delete_object, put_file
from storage.reading import StoredMedia
from storage.store import ObjectProperties

BACKGROUNDS_PER_ACCOUNT_MAX = 100  # a menu that nobody could choose from is no menu
NO_TEMPLATE = ""  # of a conversation without one: those of the account alone count


class AccountBackgrounds:
    """Fulfils signaling.file_port.Backgrounds."""

    def __init__(
        self,
        table: BackgroundTable,
        conversations: ConversationTable,
        spool: FileSpool,
        pictures: PictureReception,
        archive: Archive,
        terms: ServiceTerms,
        clock: Clock,
    ) -> None:
        self._table = table
        self._conversations = conversations
        self._spool = spool
        self._pictures = pictures
        self._archive = archive
        self._terms = terms
        self._clock = clock

    async def add(
        self, account: str, template: str | None, *, name: str, chunks: AsyncIterator[bytes]
    ) -> Background:
        """Checked by decoding it, and in the store before it is offered to anybody."""
        await self._archive.allowed()
        if await self._table.count(account) >= BACKGROUNDS_PER_ACCOUNT_MAX:
            detail = f"An account has at most {BACKGROUNDS_PER_ACCOUNT_MAX} backgrounds."
            raise caller_error("too_many_backgrounds", detail, status=409)
        scratch = scratch_id()
        picture = await self._pictures.receive(scratch, chunks)
        try:
            background = Background(
                id=new_id("bg"),
                account=account,
                template=template,
                name=safe_filename(name),
                content_type=picture.content_type,
                bytes=picture.bytes,
                width=picture.width,
                height=picture.height,
                created_at=self._clock.utc_now(),
            )
            key = f"_backgrounds/{background.id}.{picture.extension}"
            properties = ObjectProperties(content_type=picture.content_type)
            await put_file(self._archive.store, key, self._spool.path(scratch), properties)
            store = self._archive.default.id
            await self._table.add(BackgroundRow(background=background, object_key=key, store=store))
        finally:
            await self._spool.remove(scratch)
        return background

    async def list(self, account: str, template: str | None) -> builtins.list[Background]:
        """Those of the account, and of this template; None: of every template."""
        return await self._table.list(account, template)

    async def remove(self, account: str, background: str) -> None:
        """Out of the menu first, so that nobody chooses what is being deleted."""
        row = await self._row(account, background)
        await self._table.delete(background)
        await delete_object(await self._archive.store_of(row.store), row.object_key)

    async def content(self, account: str | None, background: str) -> MediaBytes:
        """The picture, open for reading; 404 where another account has it."""
        row = await self._row(account, background)
        store = await self._archive.store_of(row.store)
        opened = StoredMedia(store, await store.head(row.object_key))
        return MediaBytes(
            size=opened.size,
            complete=True,
            etag=opened.etag,
            content_type=row.background.content_type,
            filename=row.background.name,
            reader=opened,
        )

    async def offered(self, caller: Caller, conversation: str) -> tuple[bool, builtins.list[Background]]:
        """Nothing but the built-in ones where none was uploaded, whatever `show_for_agents` says."""
        who = caller.participant
        settings = await self._terms.allow_backgrounds(conversation, who.role if who else None)
        known = await self._conversations.get(conversation)
        uploaded = await self._table.list(known.account, known.template or NO_TEMPLATE)
        return settings.backgrounds.show_for_agents or not uploaded, uploaded

    async def _row(self, account: str | None, background: str) -> BackgroundRow:
        row = await self._table.get(background)
        if account is not None and row.background.account != account:
            raise not_found("background")
        return row
