"""Named stores: those of the settings, and which of them is the one that something remembers.

What lies in a store remembers its id, never its name or address: these may change. A store that is not known
by its name and address any more is known by the mark in it (storage/identity.py).
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from recorder.database.stores import StoreRow, StoreTable
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from storage.errors import NOT_CONFIGURED
from storage.identity import Markable, check_mark, expect_mark, has_mark, put_mark
from storage.settings import StorageSettings
from storage.store import ObjectStore

SEEN_AGAIN_S = 60.0
ASKED_AGAIN_S = 60.0  # whether one of the stores is what something remembers, where none was
_PASSWORD = re.compile(r"(?<=:)[^:/@]+(?=@)")  # user:password@host in a URL


class StoreMark:
    """The mark of a store: put when it is first used, and looked for ever after."""

    def __init__(self, store: ObjectStore, row: StoreRow, table: StoreTable, clock: Clock) -> None:
        self._store = store
        self._id = row.id
        self._table = table
        self._clock = clock
        self._marked = row.marked_at is not None
        self._marking = asyncio.Lock()
        self._seen_ns: int | None = None
        if self._marked:
            expect_mark(store, row.id)

    async def check(self) -> None:
        """Raises store_changed (503) where the store lost its mark; the store's own errors."""
        async with self._marking:
            if not self._marked:
                await self._put()
            elif self._is_to_be_seen():
                await check_mark(self._store, self._id)
                self._seen_ns = self._clock.monotonic_ns()

    async def put_again(self) -> None:
        """Take the store as it is: somebody knows that it is the right one."""
        async with self._marking:
            await self._put()

    def _is_to_be_seen(self) -> bool:
        """A bucket is not exchanged from one minute to the next, and is paid for each request."""
        if self._seen_ns is None or isinstance(self._store, Markable):
            return True
        return self._clock.monotonic_ns() - self._seen_ns > SEEN_AGAIN_S * 1e9

    async def _put(self) -> None:
        await put_mark(self._store, self._id)
        await self._table.marked(self._id, self._clock.utc_now())
        expect_mark(self._store, self._id)
        self._marked = True


@dataclass(frozen=True, slots=True)
class NamedStore:
    """A store that the settings have; `mark` is None where no database remembers it."""

    id: str
    name: str
    settings: StorageSettings
    store: ObjectStore
    mark: StoreMark | None = None

    async def check(self) -> None:
        """Whether it is there, may be used, and is the one that was recorded into."""
        await self.store.check()
        if self.mark is not None:
            await self.mark.check()


class NamedStores:
    """All stores of the settings; the first is that of [storage]. `known` are all that there ever were."""

    def __init__(self, configured: Sequence[NamedStore], known: Sequence[StoreRow] = ()) -> None:
        self._by_id = {store.id: store for store in configured}
        self._by_name = {store.name: store for store in configured}
        self._known = {row.id: row for row in known}
        self._asked_s: dict[str, float] = {}  # of ids that no store had, when they were asked last
        self.default = configured[0]

    def __iter__(self) -> Iterator[NamedStore]:
        return iter(self._by_name.values())

    def named(self, name: str) -> NamedStore:
        """The store of that name; store_not_configured."""
        if name not in self._by_name:
            there = ", ".join(self._by_name)
            raise _not_configured(f"There is no store {name!r} in the settings; there are {there}.")
        return self._by_name[name]

    def name_of(self, store: str | None) -> str:
        """What it is called, or was."""
        if store is None:
            return self.default.name
        if (found := self._by_id.get(store)) is not None:
            return found.name
        return self._known[store].name if store in self._known else store

    def at_once(self, store: str | None) -> NamedStore | None:
        """The store of that id, as far as that is known without asking any; None where it is not."""
        return self.default if store is None else self._by_id.get(store)

    async def of(self, store: str | None) -> NamedStore:
        """The store that something remembers; store_not_configured where the settings do not have it."""
        found = self.at_once(store)
        if found is None and store is not None and self._may_ask(store):
            found = await self._marked(store)
        if found is None:
            where = f"{self.name_of(store)!r}{self._address(store)}"
            raise _not_configured(f"It lies in the store {where}, which the settings do not have.")
        return found

    async def close(self) -> None:
        for named in self:
            await named.store.close()

    def _may_ask(self, store: str) -> bool:
        asked_s, now_s = self._asked_s.get(store), asyncio.get_running_loop().time()
        if asked_s is not None and now_s - asked_s < ASKED_AGAIN_S:
            return False
        self._asked_s[store] = now_s
        return True

    async def _marked(self, store: str) -> NamedStore | None:
        for named in self:
            try:
                if await has_mark(named.store, store):
                    self._by_id[store] = named
                    return named
            except BystanderError:  # it says nothing now
                self._asked_s.pop(store, None)
        return None

    def _address(self, store: str | None) -> str:
        row = self._known.get(store or "")
        return "" if row is None else f" ({row.url})"


def public_url(url: str) -> str:
    """A store's URL without a password."""
    return _PASSWORD.sub("***", url)


def _not_configured(detail: str) -> BystanderError:
    return BystanderError(NOT_CONFIGURED, detail, fault=Fault.RESOURCE, status=503)
