"""The storage test: everything that a recording will ask of the store, tried once, step by step."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from recorder.clock import Clock, SystemClock
from recorder.errors import BystanderError
from recorder.limits import PART_SIZE_BYTES_MIN
from storage.objects import MultipartUpload, ObjectProperties, ObjectStore, Part
from storage.store_errors import CORRUPTED, PART_REFUSED, store_error

_PROPERTIES = ObjectProperties("application/octet-stream", (("bystander-test", "1"),))
_SMALL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One step's verdict; `detail` says what is wrong, or what was found out."""

    name: str
    ok: bool
    seconds: float
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """All steps that were tried; the first that fails is the last, but for the cleaning up."""

    ok: bool
    steps: list[ProbeStep]
    replaces_parts: bool  # whether the Uploader may send part 1 before the end


@dataclass(slots=True)
class _Trial:
    store: ObjectStore
    key: str
    small: bytes = field(default_factory=lambda: secrets.token_bytes(_SMALL_BYTES))
    part: bytes = field(default_factory=lambda: secrets.token_bytes(PART_SIZE_BYTES_MIN))
    upload: MultipartUpload | None = None
    replaces_parts: bool = False

    async def existence(self) -> str | None:
        await self.store.check()
        return None

    async def write(self) -> str | None:
        await self.store.put(self.key, self.small, _PROPERTIES)
        return None

    async def read(self) -> str | None:
        info = await self.store.head(self.key)
        await self._expect(self.key, 0, self.small)
        kept = dict(info.metadata) == dict(_PROPERTIES.metadata)
        return None if kept else "metadata is not kept"

    async def range(self) -> str | None:
        await self._expect(self.key, 1000, self.small[1000:2000])
        return None

    async def multipart(self) -> str | None:
        uploads, key = self.store.uploads, f"{self.key}.multipart"
        upload = self.upload = await uploads.begin(key, _PROPERTIES)
        end = await uploads.put_part(upload, 2, len(self.part), self.small)
        head = await uploads.put_part(upload, 1, 0, self.part)
        replacement = await self._replace_head(upload)
        if len(await uploads.list_parts(upload)) != 2:
            raise store_error(CORRUPTED, "the parts that were sent are not listed")
        await uploads.complete(upload, [replacement or head, end])
        await self._expect(key, 0, (self.part[::-1] if replacement else self.part)[:1000])
        await self._expect(key, len(self.part), self.small)
        self.replaces_parts = replacement is not None
        return None if replacement else "a part cannot be replaced; the first is held back to the end"

    async def delete(self) -> str | None:
        if self.upload is not None:
            await self.store.uploads.abort(self.upload)
            await self.store.delete(self.upload.key)
        await self.store.delete(self.key)
        return None

    async def _replace_head(self, upload: MultipartUpload) -> Part | None:
        try:
            return await self.store.uploads.put_part(upload, 1, 0, self.part[::-1])
        except BystanderError as error:
            if error.code != PART_REFUSED:
                raise
            return None

    async def _expect(self, key: str, start: int, data: bytes) -> None:
        chunks = [chunk async for chunk in self.store.read(key, start, start + len(data))]
        if b"".join(chunks) != data:
            raise store_error(CORRUPTED, "other bytes are read back")


async def test_store(store: ObjectStore, *, clock: Clock | None = None) -> ProbeResult:
    """Try the store with objects of a random name, and remove them; what fails is in the result."""
    clock = clock or SystemClock()
    trial = _Trial(store, f"bystander-test-{secrets.token_hex(8)}")
    steps: list[ProbeStep] = []
    for step in (trial.existence, trial.write, trial.read, trial.range, trial.multipart):
        steps.append(await _tried(step, clock))
        if not steps[-1].ok:
            break
    if len(steps) > 1:
        steps.append(await _tried(trial.delete, clock))
    return ProbeResult(all(step.ok for step in steps), steps, trial.replaces_parts)


async def _tried(step: Callable[[], Awaitable[str | None]], clock: Clock) -> ProbeStep:
    began_ns = clock.monotonic_ns()
    detail: str | None
    try:
        ok, detail = True, await step()
    except BystanderError as error:
        ok, detail = False, str(error)
    name = getattr(step, "__name__", "step")
    return ProbeStep(name, ok, (clock.monotonic_ns() - began_ns) / 1e9, detail)
