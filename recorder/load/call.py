"""One call of a load: started, published to, stopped, downloaded, judged and deleted."""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import EntryPoint, Recording, RecordingState
from recorder.load.client import Client, RefusedError
from recorder.load.found import Found, examine
from recorder.load.publisher import clip
from recorder.load.publisher.process import Joined, Orders, Sent
from recorder.load.publisher.profile import Feed, Profile
from recorder.load.verdict import Timing, Verdict, judge

JOIN_S_MAX = 60.0
LEAVE_S_MAX = 30.0
AVAILABLE_S_MAX = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What every call of a load has in common."""

    profile: Profile
    seconds: float
    clips: Path
    label: dict[str, str]
    loss: float = 0.0
    jitter_s: float = 0.0
    loopback: bool = True
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call: refused, failed with a reason, or recorded with a verdict."""

    number: int
    recording: str | None = None
    refused: str | None = None
    failed: str | None = None
    timing: Timing | None = None
    verdict: Verdict | None = None
    bytes: int = 0
    duration_s: float = 0.0

    @property
    def is_good(self) -> bool:
        return self.verdict is not None and self.verdict.is_good


@dataclass(frozen=True, slots=True)
class Held:
    """A call that was recorded, before anybody looked at its file."""

    number: int
    conversation: str
    recording: Recording
    timing: Timing


async def hold(client: Client, plan: Plan, number: int, processes: set[int]) -> Held | Outcome:
    """Hold call `number`; its publishers' process is in `processes` while they talk."""
    try:
        conversation = await client.create_conversation(plan.label | {"call": str(number)})
    except RefusedError as refusal:
        return Outcome(number, refused=refusal.code)
    began = time.monotonic()
    try:
        recording = await client.start(conversation)
    except RefusedError as refusal:
        await _forget(client, plan, conversation)
        return Outcome(number, refused=refusal.code)
    start_s = time.monotonic() - began
    try:
        return await _talk(client, plan, number, conversation, recording, start_s, processes)
    except (BystanderError, RefusedError, RuntimeError, TimeoutError) as error:
        with contextlib.suppress(BystanderError, RefusedError):
            await client.stop(recording.id)
        return Outcome(number, recording.id, failed=str(error) or "it took too long")


async def _talk(
    client: Client,
    plan: Plan,
    number: int,
    conversation: str,
    recording: Recording,
    start_s: float,
    processes: set[int],
) -> Held:
    if recording.entry_point is None:
        raise RuntimeError("the recording has no entry point")
    async with _published(plan, recording.entry_point, processes) as joined:
        await asyncio.sleep(plan.seconds)
        ended = time.monotonic()
        await client.stop(recording.id)
        over = await client.over(recording.id, seconds_max=AVAILABLE_S_MAX)
    if over.state is not RecordingState.AVAILABLE or over.started_at is None:
        raise RuntimeError(f"the recording ended {over.state}: {over.failure}")
    timing = Timing(
        start_s=start_s,
        connect_s=max(join.took_s for join in joined),
        first_media_s=over.started_at.timestamp() - joined[0].at_s,
        available_s=time.monotonic() - ended,
    )
    return Held(number, conversation, over, timing)


async def look(client: Client, plan: Plan, held: Held) -> Outcome:
    """Download a held call's file and judge it; the conversation is deleted unless it is to be kept."""
    feeds = named(plan.profile)
    events = await client.events(held.recording.id)
    with tempfile.TemporaryDirectory(prefix="bystander-load-") as scratch:
        file = Path(scratch) / "recording.mp4"
        with await asyncio.to_thread(file.open, "wb") as target:
            async for piece in client.media(held.recording.id):
                await asyncio.to_thread(target.write, piece)
        found = await asyncio.to_thread(_examine, file, events, feeds, held.recording)
        size = file.stat().st_size
    has_pictures = any(feed.size is not None for feed in feeds.values())
    verdict = judge(found, held.timing, has_pictures=has_pictures)
    await _forget(client, plan, held.conversation)
    return Outcome(
        held.number,
        held.recording.id,
        timing=held.timing,
        verdict=verdict,
        bytes=size,
        duration_s=found.duration_s,
    )


def named(profile: Profile) -> dict[str, Feed]:
    """The feeds by their participants' names."""
    return {f"participant {number + 1}": feed for number, feed in enumerate(profile.feeds)}


def _examine(file: Path, events: list[MediaEvent], feeds: dict[str, Feed], recording: Recording) -> Found:
    return examine(file, events, feeds, seconds=recording.duration_s or 0.0)


async def _forget(client: Client, plan: Plan, conversation: str) -> None:
    if not plan.keep:
        await client.delete_conversation(conversation)


@contextlib.asynccontextmanager
async def _published(plan: Plan, entry_point: EntryPoint, processes: set[int]) -> AsyncIterator[list[Joined]]:
    """A process that publishes every feed inside the block, once all of them are connected."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "recorder.load.publisher.process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the publisher has no pipes")
    processes.add(process.pid)
    try:
        orders = await asyncio.to_thread(_orders, plan, entry_point)
        process.stdin.write(msgspec.json.encode(orders) + b"\n")
        async with asyncio.timeout(JOIN_S_MAX):
            yield_to = [await _joined(process.stdout) for _ in orders.feeds]
        yield yield_to
    finally:
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), LEAVE_S_MAX)
        if process.returncode is None:
            process.kill()
        processes.discard(process.pid)


async def _joined(lines: asyncio.StreamReader) -> Joined:
    line = await lines.readline()
    if not line:
        raise BystanderError(
            "publisher_failed", "A publisher could not join.", fault=Fault.RESOURCE, status=503
        )
    return msgspec.json.decode(line, type=Joined)


def _orders(plan: Plan, entry_point: EntryPoint) -> Orders:
    feeds = []
    for turn, (name, feed) in enumerate(named(plan.profile).items()):
        pictures, sound = (
            clip.pictures(plan.clips, feed, lamp=turn == 0),
            clip.sound(plan.clips, feed, turn=turn),
        )
        feeds.append(
            Sent(
                participant=name,
                source=feed.source,
                fps=feed.fps,
                pictures=None if pictures is None else str(pictures),
                sound=None if sound is None else str(sound),
                stays_s=feed.stays_s,
            )
        )
    return Orders(
        url=entry_point.url,
        token=entry_point.token,
        feeds=feeds,
        loss=plan.loss,
        jitter_s=plan.jitter_s,
        loopback=plan.loopback,
    )
