"""Playlists of recordings: storage says where the bytes are, media how a playlist is written."""

from collections import OrderedDict

from media.hls.playlist import event_playlist, vod_playlist
from media.hls.seek_index import Placed, header_bytes, read_places
from media.isobmff import FragmentPlace
from recorder.kernel.errors import BystanderError, Fault, caller_error
from recorder.kernel.limits import KIB, MIB
from recorder.kernel.media import FragmentKind
from signaling.ports import Playlist
from storage.reading import OpenMedia, SpooledMedia
from storage.spool import IndexEntry

HEAD_BYTES_FIRST = 128 * KIB  # the init segment with its reserved room, in one read
HEADER_BYTES_MAX = 16 * KIB  # ftyp and moov, which ours have in 2
HEAD_BYTES_MAX = 4 * MIB  # the index of more than a day
INDEXES_CACHED_MAX = 32  # a player asks once; 8 hours are 14,400 places, about 2 MiB


class Playlists:
    """Writes them, and remembers the indexes of finished recordings that were read last."""

    def __init__(self) -> None:
        self._indexes: OrderedDict[tuple[str, str], Placed] = OrderedDict()

    async def of(self, recording: str, opened: OpenMedia, uri: str) -> Playlist:
        """The playlist of an opened recording whose bytes are found at `uri`; no_media, no_index (409)."""
        if isinstance(opened, SpooledMedia):
            return await _growing(opened, uri)
        placed = await self._placed(recording, opened)
        text = vod_playlist(uri, placed.header_bytes, placed.fragments, init_offset=placed.header_offset)
        return Playlist(text, complete=True)

    async def _placed(self, recording: str, opened: OpenMedia) -> Placed:
        name = recording, opened.etag
        placed = self._indexes.pop(name, None) or await _read_index(opened)
        self._indexes[name] = placed
        if len(self._indexes) > INDEXES_CACHED_MAX:
            self._indexes.popitem(last=False)
        return placed


async def _growing(opened: SpooledMedia, uri: str) -> Playlist:
    fragments = [_place(entry) for entry in await opened.entries() if entry.kind is FragmentKind.MEDIA]
    if not fragments:
        raise caller_error("no_media", "The recording has no media (yet).", status=409)
    init_bytes = fragments[0].offset
    head = await _bytes_of(opened, 0, min(HEADER_BYTES_MAX, init_bytes))
    text = event_playlist(uri, header_bytes(head) or init_bytes, fragments, ended=opened.complete)
    return Playlist(text, opened.complete)


async def _bytes_of(opened: OpenMedia, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in opened.read(start, stop)])


async def _read_index(opened: OpenMedia) -> Placed:
    head = b""
    for wanted in (HEAD_BYTES_FIRST, HEAD_BYTES_MAX):
        stop = min(wanted, opened.size)
        if stop > len(head):
            head += await _bytes_of(opened, len(head), stop)
        try:
            placed = read_places(head)
        except ValueError as error:
            raise _no_index() from error
        if placed is not None:
            return placed
    raise _no_index()


def _place(entry: IndexEntry) -> FragmentPlace:
    return FragmentPlace(
        offset=entry.offset, size=entry.length, start_us=entry.start_us, duration_us=entry.duration_us
    )


def _no_index() -> BystanderError:
    return BystanderError(
        "no_index",
        "The recording has no seek index that a playlist could be made of; its media can be played as it is.",
        fault=Fault.SERVER,
        status=409,
    )
