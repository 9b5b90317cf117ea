"""Claims to what a lost node left: two may both withdraw, never both win."""

from collections.abc import AsyncIterator

from recorder.kernel.clock import ManualClock
from storage.store import ObjectInfo
from storage.stores.memory import MemoryStore
from storage.takeover.lease import NodeLease
from tests.storage.conftest import RECORDING


class Stale(MemoryStore):
    """Lists what was there before anything was put."""

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        for info in ():
            yield info


def lease(store: MemoryStore, node: str) -> NodeLease:
    return NodeLease(store, ManualClock(), installation="ours", node=node, takeover_after_s=900.0)


async def test_the_first_to_claim_wins() -> None:
    store = MemoryStore()
    assert await lease(store, "first").claim(RECORDING)
    assert not await lease(store, "second").claim(RECORDING)


async def test_who_does_not_see_its_own_claim_withdraws() -> None:
    """A list that is behind may be without another's claim, too."""
    store = Stale()
    assert not await lease(store, "first").claim(RECORDING)
    assert [info.key async for info in MemoryStore.list_objects(store, "_bystander/uploads/")] == []
