"""Pages of lists: `?after=<id>&limit=`, ids sort by time, the answer says where the next page begins."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Protocol, TypeVar

import msgspec

PAGE_ITEMS_DEFAULT = 50
PAGE_ITEMS_MAX = 200  # some 100 KiB of JSON: what one answer may hold up on the event loop


class Order(StrEnum):
    """Which end of a list comes first."""

    OLDEST_FIRST = "oldest_first"
    NEWEST_FIRST = "newest_first"


class PageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a list is asked for: what comes after this id, at most this many."""

    after: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_\-]{1,128}$")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_ITEMS_MAX)] = PAGE_ITEMS_DEFAULT


class Identified(Protocol):
    """Something with an id that sorts by time."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Identified)


def first_page(items: Sequence[T], limit: int) -> tuple[list[T], str | None]:
    """Cut `items`, of which one more than `limit` was asked for; and the `after` of the next page, if any."""
    page = list(items[:limit])
    return page, page[-1].id if len(items) > limit else None


def page_of(items: Iterable[T], query: PageQuery) -> tuple[list[T], str | None]:
    """The asked page of a list that is at hand as a whole."""
    later = sorted(
        (item for item in items if query.after is None or item.id > query.after), key=lambda one: one.id
    )
    return first_page(later, query.limit)
