"""What an ordinary file of some fragments has to be, made in one go: the other way than storage makes it."""

from collections.abc import Container, Sequence
from itertools import accumulate

from media.isobmff import FragmentPlace, finalise
from media.isobmff.ordinary import HEAD_BYTES, OrdinaryMovie
from recorder.values import Fragment


def ordinary_file(fragments: Sequence[Fragment], *, gaps: Container[int] = ()) -> bytes:
    """`fragments` begin with the init segment; those whose number is in `gaps` are blank."""
    init, *media = fragments
    offsets = list(accumulate((len(fragment.data) for fragment in media), initial=len(init.data)))
    movie = OrdinaryMovie(init.data)
    data = b"".join(fragment.data for fragment in fragments)
    places = []
    for number, (fragment, offset) in enumerate(zip(media, offsets, strict=False), 1):
        stop, end_us = offset + len(fragment.data), fragment.start_us + fragment.duration_us
        if number in gaps:
            blank = len(fragment.data).to_bytes(4, "big") + b"free"
            data = data[:offset] + blank.ljust(stop - offset, b"\0") + data[stop:]
        else:
            assert movie.take(offset, stop, end_us, lambda start, stop: data[start:stop])
        places.append(
            FragmentPlace(offset - HEAD_BYTES, stop - offset, fragment.start_us, fragment.duration_us)
        )
    head = movie.head(finalise(movie.inner_init, places), len(data) - len(init.data))
    return head + data[len(head) :] + movie.movie(0)
