"""Finalisers: media's seek index, written into the bytes that storage uploads."""

from collections.abc import Sequence

from media.isobmff import FragmentPlace, finalise
from media.isobmff.box_reader import boxes_of, children
from media.isobmff.boxes import free_box
from media.isobmff.finaliser import room_bytes
from recorder.kernel.media import FragmentKind
from storage.spool import IndexEntry

BOX_HEADER_BYTES = 8


def finalise_init(init: bytes, index: Sequence[IndexEntry]) -> bytes:
    """The init segment, as long as before, with duration and seek index; ValueError when it cannot be."""
    return finalise(init, _places(index, 0))


def finalise_init_grown(init: bytes, index: Sequence[IndexEntry]) -> bytes:
    """The same, longer where the index outgrew its room: fragments do not say where in the file they are."""
    moov = next((box for box in boxes_of(init) if box.kind == b"moov"), None)
    if moov is None:
        raise ValueError("an init segment without moov")
    moov_end = moov.offset + BOX_HEADER_BYTES + len(moov.body)
    tracks = sum(box.kind == b"trak" for box in children(moov))
    places = _places(index, 0)
    needed, room = room_bytes(tracks, len(places)), len(init) - moov_end
    if needed <= room:
        return finalise(init, places)
    return finalise(init[:moov_end] + free_box(needed), _places(index, needed - room))


def _places(index: Sequence[IndexEntry], moved: int) -> list[FragmentPlace]:
    return [
        FragmentPlace(
            offset=entry.offset + moved,
            size=entry.length,
            start_us=entry.start_us,
            duration_us=entry.duration_us,
        )
        for entry in index
        if entry.kind is FragmentKind.MEDIA
    ]
