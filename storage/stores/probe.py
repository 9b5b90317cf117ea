"""The storage test: everything that a recording will ask of the store, tried once, step by step."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Protocol, runtime_checkable

from recorder.kernel.clock import Clock, SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from storage.errors import CORRUPTED, DENIED, FAILED, PART_REFUSED, store_error
from storage.store import TEST_PREFIX, MultipartUpload, ObjectProperties, ObjectStore, Part
from storage.stores.encryption import Encrypting, check_encrypted
from storage.stores.probe_speed import SLOW_MBIT_PER_S, SpeedTrial

_PROPERTIES = ObjectProperties("application/octet-stream", (("bystander-test", "1"),))
_SMALL_BYTES = 64 * 1024
CLOCK_SKEW_S_MAX = 900.0  # S3 refuses what is signed further off
CLOCK_SKEW_S_USUAL = 60.0  # a machine that keeps time is within a second; leases and links lean on it


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One step's verdict; `detail` says what is wrong, or what was found out.

    `warning`: the store can be used, and yet somebody should look at `detail`.
    """

    name: str
    ok: bool
    seconds: float
    detail: str | None = None
    warning: bool = False


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """All steps that were tried; the first that fails is the last, but for the cleaning up."""

    ok: bool
    steps: list[ProbeStep]
    replaces_parts: bool  # whether the Uploader may send part 1 before the end


class _Warning(str):
    """What a step found out, and should not be so."""


@runtime_checkable
class Clocked(Protocol):
    """A store that tells its own time."""

    async def server_time(self) -> datetime | None:
        """Now, by the store's clock, also where it refuses us; None where it does not say."""
        ...


@dataclass
class _Trial:
    store: ObjectStore
    key: str
    clock: Clock
    check: Callable[[], Awaitable[None]]
    small: bytes = field(default_factory=lambda: secrets.token_bytes(_SMALL_BYTES))
    part: bytes = field(default_factory=lambda: secrets.token_bytes(PART_SIZE_BYTES_MIN))
    upload: MultipartUpload | None = None
    replaces_parts: bool = False

    @cached_property
    def speed(self) -> SpeedTrial:
        return SpeedTrial(self.store, f"{self.key}.speed", self.clock)

    async def existence(self) -> str | None:
        await self.check()
        return None

    async def clock_skew(self) -> str | None:
        told = await self.store.server_time() if isinstance(self.store, Clocked) else None
        if told is None:
            return "the store does not tell its time"
        skew_s = (self.clock.utc_now() - told).total_seconds()
        if abs(skew_s) > CLOCK_SKEW_S_MAX:
            raise store_error(DENIED, f"our clock is {skew_s:+.0f} s off; signatures are refused")
        found = f"our clock is {skew_s:+.0f} s off"
        return _Warning(found) if abs(skew_s) > CLOCK_SKEW_S_USUAL else found

    async def throughput_up(self) -> str | None:
        return _told_speed(await self.speed.up())

    async def throughput_down(self) -> str | None:
        return _told_speed(await self.speed.down())

    async def write(self) -> str | None:
        await self.store.put(self.key, self.small, _PROPERTIES)
        return None

    async def read(self) -> str | None:
        info = await self.store.head(self.key)
        await self._expect(self.key, 0, self.small)
        if dict(info.metadata) != dict(_PROPERTIES.metadata):
            raise store_error(FAILED, "metadata is not kept: no object could be known for a recording's")
        return None

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

    async def encryption(self) -> str | None:
        await check_encrypted(self.store, (self.key, f"{self.key}.multipart"))
        return None

    async def delete(self) -> str | None:
        if self.upload is not None:
            await self.store.uploads.abort(self.upload)
            await self.store.delete(self.upload.key)
        await self.speed.remove()
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


def _nobody_listens(step: ProbeStep) -> None:
    """For a test whose outcome alone counts."""


async def test_store(
    store: ObjectStore,
    *,
    clock: Clock | None = None,
    done: Callable[[ProbeStep], None] = _nobody_listens,
    existence: Callable[[], Awaitable[None]] | None = None,
) -> ProbeResult:
    """Try the store with objects of a random name, and remove them; what fails is in the result.

    `done` hears of each step when it is over; `existence` is a stricter check than the store's own.
    """
    clock = clock or SystemClock()
    trial = _Trial(store, f"{TEST_PREFIX}{secrets.token_hex(8)}", clock, existence or store.check)
    steps: list[ProbeStep] = []

    async def try_(step: Callable[[], Awaitable[str | None]]) -> None:
        steps.append(await _tried(step, clock))
        done(steps[-1])

    for step in (
        trial.existence,
        trial.clock_skew,
        trial.write,
        trial.read,
        trial.range,
        trial.multipart,
        *([trial.encryption] if _is_asked_to_encrypt(store) else []),
        trial.throughput_up,
        trial.throughput_down,
    ):
        await try_(step)
        if not steps[-1].ok:
            break
    if len(steps) > 1:
        await try_(trial.delete)
    elif (steps[0].detail or "").startswith(DENIED):
        await try_(trial.clock_skew)  # which may be why
    return ProbeResult(all(step.ok for step in steps), steps, trial.replaces_parts)


def _is_asked_to_encrypt(store: ObjectStore) -> bool:
    return isinstance(store, Encrypting) and store.asked_encryption.method is not None


async def _tried(step: Callable[[], Awaitable[str | None]], clock: Clock) -> ProbeStep:
    began_ns = clock.monotonic_ns()
    detail: str | None
    try:
        ok, detail = True, await step()
    except BystanderError as error:
        ok, detail = False, str(error)
    name = getattr(step, "__name__", "step")
    seconds = (clock.monotonic_ns() - began_ns) / 1e9
    return ProbeStep(name, ok, seconds, detail, warning=ok and isinstance(detail, _Warning))


def _told_speed(mbit_per_s: float) -> str:
    found = f"{mbit_per_s:.1f} Mbit/s"
    return found if mbit_per_s >= SLOW_MBIT_PER_S else _Warning(f"{found}: recordings will lag behind")
