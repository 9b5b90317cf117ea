"""Fragments found again without their index records: from the boxes that the media itself consists of.

A fragment is boxes up to and with its `mdat` (ISO/IEC 14496-12, 8.1.1); what stands before the first
`moof` is the init segment. Checksums are gone with the records, so whole boxes have to do. Blocking, as
far as `read` is.
"""

import struct
from collections.abc import Callable

from recorder.kernel.limits import FRAGMENT_BYTES_MAX
from recorder.kernel.media import FragmentKind
from storage.spool.format import CHECKSUM_UNKNOWN, IndexEntry

Read = Callable[[int, int], bytes]  # the bytes [start, stop) of the media, fewer where there are no more

_BOX = struct.Struct("!I4s")
_PREFIXES = (b"styp", b"sidx", b"prft", b"emsg")  # boxes that belong to the `moof` behind them


def fragments_between(
    read: Read, start: int, stop: int, *, start_us: int = 0, end_us: int = 0
) -> list[IndexEntry]:
    """The whole fragments from `start` on, each with its share of the time until `end_us`; none of a torn
    one.

    From 0 on the first of them is the init segment, which has no duration.
    """
    spans = _spans(read, start, stop)
    media = len(spans) - (start == 0)
    share_us = max(0, end_us - start_us) / max(1, media)
    entries = []
    for number, (begin, end) in enumerate(spans):
        if begin == 0:
            entries.append(IndexEntry(FragmentKind.INIT, 0, end, 0, 0, CHECKSUM_UNKNOWN))
            continue
        place = number - (start == 0)
        from_us, to_us = (start_us + round(share_us * n) for n in (place, place + 1))
        entries.append(
            IndexEntry(FragmentKind.MEDIA, begin, end - begin, from_us, to_us - from_us, CHECKSUM_UNKNOWN)
        )
    return entries


def _spans(read: Read, start: int, stop: int) -> list[tuple[int, int]]:
    spans = []
    at, begin = start, start
    in_init = start == 0
    while at + _BOX.size <= stop:
        head = read(at, at + _BOX.size)
        if len(head) < _BOX.size:
            break
        size, kind = _BOX.unpack(head)
        if size < _BOX.size or not kind.isalnum() or at + size > stop:
            break
        if in_init and kind in (b"moof", *_PREFIXES) and at > 0:
            spans.append((0, at))
            begin, in_init = at, False
        at += size
        if kind == b"mdat":
            if in_init or at - begin > FRAGMENT_BYTES_MAX:
                break
            spans.append((begin, at))
            begin = at
    return spans
