"""The lease of a node: its sign of life in the bucket, and claims to what a lost node left.

Needs nothing of a store but that a list shows what was put before (as S3 and directories do). A node puts
its sign of life before it writes and at least every LEASE_RENEWAL_S; another may claim its uploads only when
the last one is older than `takeover_after_s`, many times any request's time. Who claims puts its claim first
and lists afterwards, and withdraws when it sees another: two can both withdraw, never both win. A node that
was cut off for so long looks for claims before it writes again: the pause fences it.
"""

import asyncio
from datetime import datetime

import msgspec

from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError, Fault
from storage.errors import OBJECT_MISSING
from storage.store import ObjectProperties, ObjectStore
from storage.takeover.journal_format import NODES_PREFIX, claim_name, claimant, side_prefix

LEASE_RENEWAL_S = 20.0

_PROPERTIES = ObjectProperties("application/json")


class SignOfLife(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself; an object under `_bystander/nodes/`."""

    installation: str
    node: str
    at: datetime


class NodeLease:
    """This node's right to write into the bucket; one for each server process."""

    def __init__(
        self, store: ObjectStore, clock: Clock, *, installation: str, node: str, takeover_after_s: float
    ) -> None:
        self.installation = installation
        self.node = node
        self._store = store
        self._clock = clock
        self._takeover_after_s = takeover_after_s
        self._renewed_s: float | None = None
        self._renewing = asyncio.Lock()
        self._missing_s: dict[str, float] = {}  # nodes without a sign of life, and since when we know
        self._unclaimed: set[str] = set()  # recordings that nobody else had claimed since we were cut off

    async def hold(self, recording: str) -> None:
        """Return when this node may write for the recording; upload_elsewhere when another does."""
        async with self._renewing:
            await self._renew()
        if recording not in self._unclaimed:
            if await self._any_lives(await self._claims(recording)):
                raise BystanderError(
                    "upload_elsewhere",
                    "Another node goes on with this recording.",
                    fault=Fault.RESOURCE,
                    status=409,
                )
            self._unclaimed.add(recording)

    async def has_lapsed(self, node: str) -> bool:
        """Whether a node gave no sign of life for so long that its uploads may be claimed."""
        try:
            info = await self._store.head(f"{NODES_PREFIX}{node}")
            data = [chunk async for chunk in self._store.read(info.key, 0, info.size)]
            sign = msgspec.json.decode(b"".join(data), type=SignOfLife)
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return self._is_missing_long(node)
        except (msgspec.DecodeError, ValueError):
            return False  # whoever wrote that, it is not known to be gone
        self._missing_s.pop(node, None)
        return (self._clock.utc_now() - sign.at).total_seconds() > self._takeover_after_s

    def _is_missing_long(self, node: str) -> bool:
        """A sign that is not there was removed, or the store shows what was before: the difference is
        time."""
        now_s = self._clock.monotonic_ns() / 1e9
        return now_s - self._missing_s.setdefault(node, now_s) > self._takeover_after_s

    async def claim(self, recording: str) -> bool:
        """Try to become the one who goes on with a lost node's upload."""
        async with self._renewing:
            await self._renew()
        key = side_prefix(recording) + claim_name(self.node)
        await self._store.put(key, b"{}", _PROPERTIES)
        seen = await self._claims(recording)
        if self.node not in seen or await self._any_lives(seen):
            await self._store.delete(key)  # a list without our own may be without another's, too
            return False
        self._unclaimed.add(recording)
        return True

    def forget(self, recording: str) -> None:
        """The upload is over."""
        self._unclaimed.discard(recording)

    async def _renew(self) -> None:
        now_s = self._clock.monotonic_ns() / 1e9
        age_s = None if self._renewed_s is None else now_s - self._renewed_s
        if age_s is not None and age_s < LEASE_RENEWAL_S:
            return
        if age_s is None or age_s > self._takeover_after_s / 2:
            self._unclaimed.clear()
        sign = SignOfLife(installation=self.installation, node=self.node, at=self._clock.utc_now())
        await self._store.put(f"{NODES_PREFIX}{self.node}", msgspec.json.encode(sign), _PROPERTIES)
        self._renewed_s = now_s  # when it was said, not when the answer came

    async def _claims(self, recording: str) -> list[str]:
        """The nodes that claimed the recording."""
        prefix = side_prefix(recording) + claim_name("")
        names = [info.key.rpartition("/")[2] async for info in self._store.list_objects(prefix)]
        return [node for name in names if (node := claimant(name)) is not None]

    async def _any_lives(self, nodes: list[str]) -> bool:
        """Whether one of these, other than ours, gave a sign of life."""
        for node in nodes:
            if node != self.node and not await self.has_lapsed(node):
                return True
        return False
