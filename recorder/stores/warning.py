"""The warning at a server's start of each store that it cannot use."""

import asyncio
import logging

from recorder.kernel.errors import BystanderError
from recorder.stores.named_stores import NamedStore, NamedStores, public_url

ANSWER_S_MAX = 15.0  # nobody waits for it: a store may be slow

_log = logging.getLogger(__name__)


async def warn_of_unusable(stores: NamedStores) -> None:
    """Ask each store whether it can be used, and log of each that cannot."""
    await asyncio.gather(*(_warn_of(place) for place in stores))


async def _warn_of(place: NamedStore) -> None:
    try:
        async with asyncio.timeout(ANSWER_S_MAX):
            await place.store.check()
        return
    except BystanderError as error:
        why = {"code": error.code, "why": error.detail}
    except TimeoutError:
        why = {"code": "store_unreachable", "why": f"no answer within {ANSWER_S_MAX:.0f} s"}
    told = {"store": place.name, "url": public_url(place.settings.url), **why}
    _log.warning("a store cannot be used now", extra=told)
