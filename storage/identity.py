"""The identity of a store: a mark in it, by which it is known again under any name or address.

    _bystander/stores/<identity>    in a bucket
    .bystander/stores/<identity>    in a directory, which looks for it before it writes or deletes

Whoever writes into a store puts a mark of its own there first. Where that is gone, this is not the store that
was written into: a disk that is not mounted, a bucket that was made again.
"""

from typing import Protocol, runtime_checkable

from recorder.kernel.errors import BystanderError
from storage.errors import CHANGED, OBJECT_MISSING, store_error
from storage.store import SIDE_PREFIX, ObjectProperties, ObjectStore

MARKS_PREFIX = f"{SIDE_PREFIX}stores/"

_PROPERTIES = ObjectProperties("application/json")


@runtime_checkable
class Markable(Protocol):
    """A store that keeps marks by itself, where they are no objects."""

    async def put_mark(self, identity: str) -> None: ...
    async def has_mark(self, identity: str) -> bool: ...
    def expect_mark(self, identity: str) -> None:
        """From now on nothing is done without this mark: store_changed."""
        ...


async def put_mark(store: ObjectStore, identity: str) -> None:
    """Make this the store of that identity."""
    if isinstance(store, Markable):
        await store.put_mark(identity)
    else:
        await store.put(MARKS_PREFIX + identity, b"{}", _PROPERTIES)


async def has_mark(store: ObjectStore, identity: str) -> bool:
    """Whether this is the store of that identity; the store's own errors."""
    if isinstance(store, Markable):
        return await store.has_mark(identity)
    try:
        await store.head(MARKS_PREFIX + identity)
    except BystanderError as error:
        if error.code != OBJECT_MISSING:
            raise
        return False
    return True


def expect_mark(store: ObjectStore, identity: str) -> None:
    """Let a store that can lose its place without noticing look for the mark from now on."""
    if isinstance(store, Markable):
        store.expect_mark(identity)


async def check_mark(store: ObjectStore, identity: str) -> None:
    """Raises store_changed (503) where the mark is gone."""
    if not await has_mark(store, identity):
        raise store_error(CHANGED)
