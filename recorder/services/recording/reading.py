"""Reading recordings: their bytes, playlists of them, and the store's own links to them."""

from typing import Literal

from recorder.database import RecordingRow
from recorder.kernel.errors import BystanderError, caller_error
from recorder.recording.dependencies import ActorDependencies
from recorder.recording.registry import RecordingRegistry
from recorder.services.recording.playback import Playlists
from recorder.stores.reading import open_recording
from signaling.ports import MediaBytes, Playlist
from storage.reading import OpenMedia, StoredMedia
from storage.stores.presigned_links import LinkTerms, no_store_link, presigned


class RecordingReader:
    """From the spool while it is recorded, from the store afterwards."""

    def __init__(self, registry: RecordingRegistry, dependencies: ActorDependencies) -> None:
        self._registry = registry
        self._table = dependencies.table
        self._archive = dependencies.archive
        self._playlists = Playlists()

    async def media(self, recording: str) -> MediaBytes:
        """An open reading; the caller closes it. no_media (409) without a byte."""
        row, opened = await self._opened(recording)
        return MediaBytes(
            size=opened.size,
            complete=opened.complete,
            etag=opened.etag,
            content_type=opened.content_type,
            filename=row.filename,
            reader=opened,
        )

    async def playlist(self, recording: str, uri: str) -> Playlist:
        """An HLS playlist of what there is now, for media that is found at `uri`; no_media, no_index."""
        _, opened = await self._opened(recording)
        try:
            return await self._playlists.of(recording, opened, uri)
        finally:
            await opened.close()

    async def store_link(
        self, recording: str, *, lifetime_s: int, method: Literal["GET", "HEAD"], content_disposition: str
    ) -> str:
        """The store's own link to the stored object; no_store_link while, or where, there is none."""
        row, opened = await self._opened(recording)
        await opened.close()
        if not isinstance(opened, StoredMedia):
            raise no_store_link("The recording is not in the store yet.")
        link = LinkTerms(lifetime_s, method, content_disposition)
        return await presigned(await self._archive.store_of(row.store), row.object_key, link)

    async def _opened(self, recording: str) -> tuple[RecordingRow, OpenMedia]:
        actor = self._registry.get(recording)
        row = actor.row if actor else await self._table.get(recording)
        try:
            opened = await open_recording(self._archive.stores, self._archive.spool, row)
        except BystanderError as error:
            if error.code != "object_missing":
                raise
            raise _no_media() from None
        if opened.size == 0:
            await opened.close()
            raise _no_media()
        return row, opened


def _no_media() -> BystanderError:
    return caller_error("no_media", "The recording has no media (yet).", status=409)
