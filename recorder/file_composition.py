"""Files, snapshots and backgrounds of a node, made in the order in which they depend on each other."""

from dataclasses import dataclass

from recorder.archive.file_spool import FOLDER, FileSpool
from recorder.database import ConversationTable, Database
from recorder.database.backgrounds import BackgroundTable
from recorder.database.files import FileTable
from recorder.deletion.file_deletion import FileDeletion
from recorder.node.background_task import BackgroundTask
from recorder.recording.dependencies import ActorDependencies
from recorder.services.effective_settings import ScopedSettings
from recorder.services.files.backgrounds import AccountBackgrounds
from recorder.services.files.bounds.disk_room import DiskRoom
from recorder.services.files.file_changes import FileChanges
from recorder.services.files.files import ConversationFiles
from recorder.services.files.finishing import FileFinishing
from recorder.services.files.pictures import PictureReception
from recorder.services.files.scanning import Scanner
from recorder.services.files.service_terms import ServiceTerms
from recorder.services.files.snapshots import ConversationSnapshots
from recorder.services.files.uploads import FileUploads


@dataclass(frozen=True, slots=True)
class FileServices:
    """What callers ask of files, and the task that finishes them."""

    files: ConversationFiles
    uploads: FileUploads
    snapshots: ConversationSnapshots
    backgrounds: AccountBackgrounds
    table: FileTable
    deletion: FileDeletion
    finishing: BackgroundTask


def compose_files(
    database: Database,
    conversations: ConversationTable,
    dependencies: ActorDependencies,
    scoped: ScopedSettings,
) -> FileServices:
    """For `bystander serve` and for tests."""
    clock, archive, node = dependencies.clock, dependencies.archive, dependencies.node
    table, spool = FileTable(database), FileSpool(archive.spool.parent / FOLDER)
    changes, terms = FileChanges(), ServiceTerms(scoped, conversations, archive)
    room = DiskRoom(table, spool, node, archive.disk_free_bytes)
    pictures = PictureReception(spool, room)
    settings = dependencies.settings.files
    scanner = Scanner(settings.scan_command, settings.scan_timeout_s)
    finishing = FileFinishing(table, spool, archive, scanner, changes, clock, node)
    return FileServices(
        files=ConversationFiles(table, conversations, spool, archive, terms, changes),
        uploads=FileUploads(table, spool, room, terms, archive, finishing, changes, clock, node),
        snapshots=ConversationSnapshots(
            table, conversations, pictures, terms, archive, finishing, changes, clock, node
        ),
        backgrounds=AccountBackgrounds(
            BackgroundTable(database), conversations, spool, pictures, archive, terms, clock
        ),
        table=table,
        deletion=FileDeletion(table, archive.stores, spool),
        finishing=BackgroundTask("files", finishing.run),
    )
