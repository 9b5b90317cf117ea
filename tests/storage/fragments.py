"""Fragments with contents that say where they belong: for tests of what stores them."""

import random

from msgspec import structs

from recorder.kernel.media import Fragment, FragmentKind

FRAGMENT_US = 2_000_000


def init(size: int = 1024) -> Fragment:
    return Fragment(kind=FragmentKind.INIT, data=_bytes(0, size))


def media(number: int, size: int) -> Fragment:
    """The `number`th media fragment, from 1 on."""
    return Fragment(
        kind=FragmentKind.MEDIA,
        data=_bytes(number, size),
        start_us=(number - 1) * FRAGMENT_US,
        duration_us=FRAGMENT_US,
    )


def growing(number: int, size: int) -> Fragment:
    """The same, as long as it may still grow."""
    return structs.replace(media(number, size), provisional=True)


def sequence(*sizes: int) -> list[Fragment]:
    """An init segment and media fragments of these sizes in bytes."""
    return [init(), *(media(number, size) for number, size in enumerate(sizes, 1))]


def _bytes(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)
