"""Where media's seek index and storage's upload meet: they know nothing of each other."""

from collections.abc import Sequence

from media.isobmff import FragmentPlace, finalise
from recorder.values import FragmentKind
from storage.spool import IndexEntry


def finalise_init(init: bytes, index: Sequence[IndexEntry]) -> bytes:
    """The init segment, as long as before, with duration and seek index; ValueError when it cannot be."""
    places = [
        FragmentPlace(
            offset=entry.offset, size=entry.length, start_us=entry.start_us, duration_us=entry.duration_us
        )
        for entry in index
        if entry.kind is FragmentKind.MEDIA
    ]
    return finalise(init, places)
