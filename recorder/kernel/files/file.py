"""Files and pictures of a conversation, and what of them may be done now. Values only."""

from datetime import datetime
from enum import StrEnum

import msgspec

from recorder.kernel.conversation import Role
from recorder.kernel.limits import MIB
from recorder.kernel.permissions import AGENTS

FILE_BYTES_MAX = 100 * MIB  # of one file that people send each other
FILENAME_BYTES_MAX = 120  # with its id before it, a name stays within one segment of a key


class FileKind(StrEnum):
    """How a file came into its conversation."""

    FILE = "FILE"  # somebody sent it
    SNAPSHOT = "SNAPSHOT"  # a picture that an agent had taken of somebody's camera or share


class FileState(StrEnum):
    """Where a file is in its life. Only what is AVAILABLE can be fetched."""

    ASKED = "ASKED"  # a snapshot that whoever is in it has not made yet
    UPLOADING = "UPLOADING"
    STORING = "STORING"  # all of it was received; it is being checked and brought into the store
    AVAILABLE = "AVAILABLE"
    REFUSED = "REFUSED"  # by the scanner, by its own content, or by who would have been in the picture


class PictureSource(StrEnum):
    """What a snapshot shows of somebody."""

    CAMERA = "camera"
    SCREEN_SHARE = "screen_share"


class SharedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a conversation. `participant` and `name` say who sent it, or asked for the snapshot.

    `received` counts the bytes of an upload that are safe. `failure` is the code of a refusal. Of a snapshot:
    `subject` is who is in it. `links` carry `content` where the caller may fetch it.
    """

    id: str
    conversation: str
    kind: FileKind = FileKind.FILE
    state: FileState
    filename: str
    content_type: str
    bytes: int
    received: int = 0
    participant: str | None = None
    name: str | None = None
    subject: str | None = None
    source: PictureSource | None = None
    width: int | None = None
    height: int | None = None
    failure: str | None = None
    created_at: datetime
    available_at: datetime | None = None
    links: dict[str, str] = {}

    def is_shown_to(self, role: Role | None) -> bool:
        """Whether somebody in this role may fetch it; None is an API key."""
        return self.kind in shown_kinds(role)


def shown_kinds(role: Role | None) -> tuple[FileKind, ...]:
    """What somebody in this role sees of others: pictures that were taken are for agents."""
    return tuple(FileKind) if role is None or role in AGENTS else (FileKind.FILE,)


class StorageService(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something that needs the store can be used now; `reason` is a stable code where it cannot."""

    enabled: bool
    reason: str | None = None


class ConversationServices(msgspec.Struct, frozen=True, kw_only=True):
    """What one caller may do in a conversation beside talking."""

    file_transfer: StorageService
    snapshots: StorageService
    backgrounds: StorageService
    recording: StorageService = StorageService(enabled=True)  # what a start by hand needs of the store
    file_bytes_max: int = FILE_BYTES_MAX


class Background(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that agents may stand in front of; `template` None: in every template of the account."""

    id: str
    account: str
    template: str | None
    name: str
    content_type: str
    bytes: int
    width: int
    height: int
    created_at: datetime
    links: dict[str, str] = {}
