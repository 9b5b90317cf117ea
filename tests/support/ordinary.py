"""What an ordinary file of some fragments has to be, made in one go: the other way than storage makes it."""

from collections.abc import Container, Sequence

from media.isobmff import FragmentPlace, finalise
from media.isobmff.progressive.movie import HEAD_BYTES, ProgressiveMovie
from recorder.kernel.media import Fragment


def ordinary_file(fragments: Sequence[Fragment], *, gaps: Container[int] = ()) -> bytes:
    """`fragments` begin with the init segment; those whose number is in `gaps` are blank."""
    init, *media = fragments
    bodies = [blank(each.data) if number in gaps else each.data for number, each in enumerate(media, 1)]
    data = init.data + b"".join(bodies)
    movie, places, stop = ProgressiveMovie(init.data), [], len(init.data)
    for fragment in media:
        offset, stop = stop, stop + len(fragment.data)
        end_us = fragment.start_us + fragment.duration_us
        assert movie.take(offset, stop, end_us, lambda start, stop: data[start:stop])
        places.append(
            FragmentPlace(offset - HEAD_BYTES, stop - offset, fragment.start_us, fragment.duration_us)
        )
    head = movie.head(finalise(movie.inner_init, places), len(data) - len(init.data))
    return head + data[len(head) :] + movie.movie(0)


def blank(fragment: bytes) -> bytes:
    """A box of the same length that players skip."""
    return (len(fragment).to_bytes(4, "big") + b"free").ljust(len(fragment), b"\0")
