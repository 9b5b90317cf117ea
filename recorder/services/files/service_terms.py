"""Terms of what needs the store: who may send files, take snapshots and be offered backgrounds, and when.

A failed storage test switches all of it off, until one passes; what was stored before can still be fetched.
"""

from recorder.archive.archive import Archive
from recorder.database import ConversationTable
from recorder.kernel.conversation import Conversation, Role
from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.files.file import ConversationServices, StorageService
from recorder.kernel.permissions import AGENTS
from recorder.services.effective_settings import ScopedSettings
from recorder.settings.definitions import Settings

_DETAILS = {
    "file_transfer_disabled": "Files cannot be sent in this conversation.",
    "snapshots_disabled": "Snapshots cannot be taken in this conversation.",
    "backgrounds_disabled": "Backgrounds are not offered in this conversation.",
    "conversation_ended": "The conversation has ended.",
}


class ServiceTerms:
    """Asked anew each time: settings and the storage test's verdict change while people talk."""

    def __init__(self, scoped: ScopedSettings, conversations: ConversationTable, archive: Archive) -> None:
        self._scoped = scoped
        self._conversations = conversations
        self._archive = archive

    async def of(self, conversation: str, role: Role | None) -> ConversationServices:
        """What somebody in this role may do; None is an API key."""
        known = await self._conversations.get(conversation)
        settings = await self._scoped.everything(known)
        failed = None if await self.storage_works() else "storage_test_failed"
        return ConversationServices(
            file_transfer=_service(_no_files(settings, known, role) or failed),
            snapshots=_service(_no_snapshots(settings, known, role) or failed),
            backgrounds=_service(_no_backgrounds(settings, role) or failed),
            recording=_service(await self._no_recording(settings)),
            file_bytes_max=settings.files.bytes_max,
        )

    async def allow_upload(self, conversation: str, role: Role | None) -> Settings:
        """409 conversation_ended, 403 file_transfer_disabled, 503 storage_test_failed; else what counts."""
        known = await self._conversations.get(conversation)
        settings = await self._scoped.everything(known)
        _refuse(_no_files(settings, known, role))
        await self._archive.allowed()
        return settings

    async def allow_snapshot(self, conversation: str, role: Role | None) -> Settings:
        """409 conversation_ended, 403 snapshots_disabled, 503 storage_test_failed; else what counts."""
        known = await self._conversations.get(conversation)
        settings = await self._scoped.everything(known)
        _refuse(_no_snapshots(settings, known, role))
        await self._archive.allowed()
        return settings

    async def allow_backgrounds(self, conversation: str, role: Role | None) -> Settings:
        """403 backgrounds_disabled, 503 storage_test_failed; else what counts."""
        settings = await self._scoped.everything(await self._conversations.get(conversation))
        _refuse(_no_backgrounds(settings, role))
        await self._archive.allowed()
        return settings

    async def storage_allowed(self) -> None:
        """503 storage_test_failed from a failed storage test to one that passes."""
        await self._archive.allowed()

    async def _no_recording(self, settings: Settings) -> str | None:
        store = self._archive.stores.named(settings.recording.store).id
        return None if await self.storage_works(store) else "storage_test_failed"

    async def storage_works(self, store: str | None = None) -> bool:
        """Whether the last test of this store, else of the default, was good, or there was none yet."""
        try:
            await self._archive.allowed(store)
        except BystanderError as error:
            if error.code != "storage_test_failed":
                raise
            return False
        return True


def _no_files(settings: Settings, conversation: Conversation, role: Role | None) -> str | None:
    if conversation.ended_at is not None:
        return "conversation_ended"
    files = settings.files
    if role is None:  # an API key sends for either side
        allowed = files.agents or files.customers
    else:
        allowed = files.agents if role in AGENTS else files.customers
    return None if allowed else "file_transfer_disabled"


def _no_snapshots(settings: Settings, conversation: Conversation, role: Role | None) -> str | None:
    if conversation.ended_at is not None:
        return "conversation_ended"
    allowed = role is None or (role in AGENTS and role in settings.snapshots.allow)
    return None if allowed else "snapshots_disabled"


def _no_backgrounds(settings: Settings, role: Role | None) -> str | None:
    allowed = settings.backgrounds.offered and (role is None or role in AGENTS)
    return None if allowed else "backgrounds_disabled"


def _service(reason: str | None) -> StorageService:
    return StorageService(enabled=reason is None, reason=reason)


def _refuse(reason: str | None) -> None:
    if reason is not None:
        status = 409 if reason == "conversation_ended" else 403
        raise caller_error(reason, _DETAILS[reason], status=status)
