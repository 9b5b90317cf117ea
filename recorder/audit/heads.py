"""The chain's head, noted where who changes the database does not reach: there what was cut off is missed.

After each transaction in the data directory, and every five minutes and at a clean stop in the object store,
an object a day and node, so that an older head stands there too.
"""

import asyncio
import logging
from datetime import datetime
from pathlib import Path

import msgspec

from recorder.kernel.audit.act import AuditHead
from recorder.kernel.clock import Clock
from recorder.kernel.errors import BystanderError
from storage.store import ObjectProperties, ObjectStore

FILE = "audit-head"
PREFIX = "audit-heads/"
STORED_EVERY_S = 300.0
HEAD_BYTES_MAX = 4_096  # ours have some 150

_PROPERTIES = ObjectProperties(content_type="application/json")
_log = logging.getLogger(__name__)


class _Noted(AuditHead, frozen=True, kw_only=True):
    noted_at: datetime


class NotedHeads:
    """One for each server. What cannot be noted is logged, and noted the next time."""

    def __init__(self, file: Path, store: ObjectStore, node: str, clock: Clock) -> None:
        self._file = file
        self._store = store
        self._node = node
        self._clock = clock
        self._newest: AuditHead | None = None
        self._stored: AuditHead | None = None

    async def changed(self, head: AuditHead) -> None:
        """Note it in the data directory; a Listener of the log."""
        self._newest = head
        try:
            await asyncio.to_thread(_write, self._file, self._encoded(head))
        except OSError as error:
            _log.error("the audit log's head cannot be noted", extra={"path": str(self._file), "why": error})

    async def store_for_good(self) -> None:
        """Note it in the store every now and then; until it is cancelled."""
        while True:
            await asyncio.sleep(STORED_EVERY_S)
            await self.store_newest()

    async def store_newest(self) -> None:
        """Note it in the store, unless it is there."""
        head, now = self._newest, self._clock.utc_now()
        if head is None or head == self._stored:
            return
        try:
            key = f"{PREFIX}{now:%Y-%m-%d}_{self._node}.json"
            await self._store.put(key, self._encoded(head), _PROPERTIES)
        except BystanderError as error:
            _log.error("the audit log's head cannot be stored", extra={"code": error.code})
            return
        self._stored = head
        _log.info("audit log", extra={"sequence": head.sequence, "hash": head.hash})

    def _encoded(self, head: AuditHead) -> bytes:
        return msgspec.json.encode(
            _Noted(sequence=head.sequence, hash=head.hash, noted_at=self._clock.utc_now())
        )


async def noted_heads(file: Path, store: ObjectStore) -> list[AuditHead]:
    """All that were noted, in the data directory and the store; raises the store's errors."""
    heads = await asyncio.to_thread(_read, file)
    async for info in store.list_objects(PREFIX):
        size = min(info.size, HEAD_BYTES_MAX)
        data = b"".join([chunk async for chunk in store.read(info.key, 0, size)])
        heads.append(_decoded(data, info.key))
    return [head for head in heads if head is not None]


def parsed_head(text: str) -> AuditHead:
    """A head as somebody wrote it down: `<sequence>:<hash>`; raises ValueError."""
    sequence, separator, hashed = text.partition(":")
    if not separator or len(hashed) != 64:
        raise ValueError("a head is <sequence>:<SHA-256 in hexadecimal>")
    return AuditHead(sequence=int(sequence), hash=hashed.lower())


def _decoded(data: bytes, place: str) -> AuditHead | None:
    try:
        noted = msgspec.json.decode(data, type=_Noted)
    except msgspec.DecodeError:
        _log.warning("a noted head of the audit log cannot be read", extra={"place": place})
        return None
    return AuditHead(sequence=noted.sequence, hash=noted.hash)


def _read(file: Path) -> list[AuditHead | None]:
    return [_decoded(file.read_bytes(), str(file))] if file.exists() else []


def _write(file: Path, data: bytes) -> None:
    """Whole or not at all, and not waiting for the disk: after a power cut it may be an older one."""
    beside = file.with_name(file.name + ".new")
    beside.write_bytes(data)
    beside.replace(file)
