"""Links that a store gives out by itself: whoever has one reads the object from the store, without us."""

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from recorder.kernel.errors import BystanderError, Fault
from storage.store import ObjectStore

LINK_S_MAX = 7 * 24 * 3600  # what S3 signs for, at most


@dataclass(frozen=True, slots=True)
class LinkTerms:
    """For how long, for which method, and what the store answers in Content-Disposition."""

    lifetime_s: int
    method: Literal["GET", "HEAD"] = "GET"
    content_disposition: str | None = None


@runtime_checkable
class PresignedLinks(Protocol):
    """What a store can do besides, where it is reached by HTTP."""

    async def presign(self, key: str, terms: LinkTerms) -> str:
        """A URL that opens this object and nothing else. Does not look whether the object is there."""
        ...


async def presigned(store: ObjectStore, key: str, terms: LinkTerms) -> str:
    """The store's own link to an object; no_store_link (409) where the store has no links."""
    if not isinstance(store, PresignedLinks):
        raise no_store_link("This store gives out no links.")
    return await store.presign(key, terms)


def no_store_link(detail: str) -> BystanderError:
    """The bytes can be had from us only."""
    return BystanderError("no_store_link", detail, fault=Fault.CALLER, status=409)
