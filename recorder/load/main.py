"""`bystander load`: hold calls on a running server, and judge it by the recordings that come of them."""

import argparse
import asyncio
import contextlib
import os
import random
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
from yarl import URL

from recorder.demo.main import ON_LOOPBACK
from recorder.demo.server import serving
from recorder.kernel.errors import BystanderError
from recorder.kernel.ids import new_id
from recorder.load.call import Held, Outcome, Plan, hold, look
from recorder.load.capacity import CALLS_MAX, largest
from recorder.load.client import Client, RefusedError
from recorder.load.page import as_page
from recorder.load.publisher.profile import PROFILES
from recorder.load.report import Report, as_json, as_table
from recorder.load.sampling import Sampler

_DROPPED = re.compile(r'^bystander_media_dropped_total\{[^}]*reason="([^"]+)"[^}]*\} (\S+)$', re.MULTILINE)
_SEED = 1
_HERE = ("127.0.0.1", "::1", "localhost")


def run(arguments: Sequence[str]) -> int:
    """Hold the calls that are asked for; 0 where every call that was taken kept every promise, else 1."""
    given = _parser().parse_args(arguments)
    try:
        reports = asyncio.run(_load(given))
    except (BystanderError, RefusedError, RuntimeError, TimeoutError) as error:
        print(f"bystander load: {error or 'something took too long'}", file=sys.stderr)
        return 2
    if given.json:
        Path(given.json).write_bytes(b"[" + b",".join(as_json(report) for report in reports) + b"]")
    if given.html:
        Path(given.html).write_text(as_page(reports))
    return 0 if reports and (given.find_capacity or all(report.is_good for report in reports)) else 1


async def _load(given: argparse.Namespace) -> list[Report]:
    reports: list[Report] = []
    async with _server(given) as (url, key, pid), aiohttp.ClientSession() as http:
        client = Client(http, url, key)
        with tempfile.TemporaryDirectory(prefix="bystander-clips-") as clips:
            plan = Plan(
                profile=PROFILES[given.profile],
                seconds=given.seconds,
                clips=Path(clips),
                label={"made_by": "bystander load", "load": new_id("load")},
                loss=given.loss,
                jitter_s=given.jitter_ms / 1000,
                loopback=URL(url).host in _HERE,
                keep=given.keep,
            )

            async def holds(calls: int) -> bool:
                report = await offer(client, plan, calls, rate=given.rate, server=pid)
                reports.append(report)
                print(as_table(report), flush=True)
                return report.is_good and not any(outcome.refused for outcome in report.outcomes)

            if given.find_capacity:
                found = await largest(holds, first=given.calls)
                print(_said(plan.profile.name, found, reports))
            else:
                await holds(given.calls)
    return reports


def _said(profile: str, found: int, reports: list[Report]) -> str:
    """The outcome of a search for the capacity, and what gave way first."""
    beyond = min(
        (report for report in reports if report.offered > found),
        key=lambda report: report.offered,
        default=None,
    )
    why = (
        ", ".join(f"{reason} ({count})" for reason, count in beyond.reasons.most_common(3)) if beyond else ""
    )
    first = f"; with {beyond.offered}: {why}" if beyond else f"; more than {CALLS_MAX} were not tried"
    return f"capacity: {found} calls of {profile}{first}"


async def offer(client: Client, plan: Plan, calls: int, *, rate: float, server: int | None) -> Report:
    """Offer so many calls, `rate` of them a second at random, and look at their files when all are over."""
    processes: set[int] = set()
    sampler = Sampler(server, lambda: list(processes), lambda: len(processes))
    sampling = asyncio.create_task(sampler.run())
    before, chance = _dropped(await client.metrics()), random.Random(_SEED)
    held: list[asyncio.Task[Held | Outcome]] = []
    progress = asyncio.create_task(_progress(held))
    try:
        for number in range(calls):
            held.append(asyncio.create_task(hold(client, plan, number + 1, processes)))
            if number + 1 < calls:
                await asyncio.sleep(chance.expovariate(rate))
        ends = await asyncio.gather(*held)
        dropped = _dropped(await client.metrics())
    finally:
        for task in (sampling, progress, *held):
            task.cancel()
        await asyncio.gather(sampling, progress, *held, return_exceptions=True)
    return Report(
        profile=plan.profile.name,
        offered=calls,
        seconds=plan.seconds,
        loss=plan.loss,
        jitter_s=plan.jitter_s,
        outcomes=await _looked_at(client, plan, ends),
        samples=sampler.samples,
        dropped={reason: count - before.get(reason, 0.0) for reason, count in dropped.items()},
    )


async def _looked_at(client: Client, plan: Plan, ends: Sequence[Held | Outcome]) -> list[Outcome]:
    """One file after the other: the machine may still be at work."""
    return [end if isinstance(end, Outcome) else await _look(client, plan, end) for end in ends]


async def _look(client: Client, plan: Plan, end: Held) -> Outcome:
    try:
        return await look(client, plan, end)
    except (BystanderError, RefusedError, OSError) as error:
        return Outcome(end.number, end.recording.id, failed=str(error))


async def _progress(held: list[asyncio.Task[Held | Outcome]]) -> None:
    while sys.stdout.isatty():
        print(f"\r  {sum(task.done() for task in held)} of {len(held)} calls over ", end="", flush=True)
        await asyncio.sleep(1.0)


def _dropped(metrics: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for reason, count in _DROPPED.findall(metrics):
        found[reason] = found.get(reason, 0.0) + float(count)
    return found


@contextlib.asynccontextmanager
async def _server(given: argparse.Namespace) -> AsyncIterator[tuple[str, str, int | None]]:
    """Where the server is, a key to it, and its process on this host: one of our own unless one is named."""
    if given.url is not None:
        key = given.api_key or os.environ.get("BYSTANDER_API_KEY")
        if not key:
            raise RuntimeError("--url needs --api-key or BYSTANDER_API_KEY")
        yield given.url, key, given.pid
        return
    with tempfile.TemporaryDirectory(prefix="bystander-load-") as directory:
        async with serving(Path(directory), settings=ON_LOOPBACK) as server:
            yield server.url, server.api_key, server.pid


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bystander load", description=__doc__)
    kinds = "; ".join(f"{profile.name}: {profile.about}" for profile in PROFILES.values())
    parser.add_argument("--url", help="of the server; without it one is started for the load, and ended")
    parser.add_argument("--api-key", help="a key that may start and delete (or BYSTANDER_API_KEY)")
    parser.add_argument(
        "--pid", type=int, help="the server's process, where it runs on this host: its CPU is told"
    )
    parser.add_argument("--profile", choices=list(PROFILES), default="two-party", help=kinds)
    parser.add_argument("--calls", type=_count, default=1, help="how many, or the first number of a search")
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="of each call, once all have joined")
    parser.add_argument("--rate", type=_positive, default=1.0, help="calls that begin each second, at random")
    parser.add_argument("--loss", type=_share, default=0.0, help="of packets that publishers send, 0 to 1")
    parser.add_argument("--jitter-ms", type=float, default=0.0, help="by which they are late at most")
    parser.add_argument(
        "--find-capacity", action="store_true", help="search the largest number that keeps every promise"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the conversations; otherwise they are deleted"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
    parser.add_argument("--html", metavar="FILE", help="write the report as a page with plots")
    return parser


def _count(text: str) -> int:
    if not 1 <= int(text) <= CALLS_MAX:
        raise argparse.ArgumentTypeError(f"1 to {CALLS_MAX} calls")
    return int(text)


def _seconds(text: str) -> float:
    if not 5 <= float(text) <= 86_400:
        raise argparse.ArgumentTypeError("a call lasts 5 s to a day")
    return float(text)


def _positive(text: str) -> float:
    if not 0 < float(text) <= 100:
        raise argparse.ArgumentTypeError("more than 0, at most 100")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= float(text) < 1:
        raise argparse.ArgumentTypeError("from 0 to below 1")
    return float(text)
