"""`bystander demo`: two synthetic people and a shared screen hold a call that the real server records."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from recorder.demo.call import DemoCall, DemoResult, hold
from recorder.demo.cast import AGENT, VISITOR
from recorder.demo.report import render
from recorder.demo.server import serving
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import Recording
from recorder.settings.definitions import ServerSettings

_SHARE_AFTER = 0.6  # of the call: first the two faces, then the screen
ON_LOOPBACK = {"BYSTANDER_CALL__BIND_HOST": "127.0.0.1", "BYSTANDER_SERVER__LOG_LEVEL": "warning"}


def run(arguments: Sequence[str]) -> int:
    """Record a synthetic call and print a report whose last line is the MP4's path; 0 when all is well."""
    given = _parser().parse_args(arguments)
    try:
        outcome = asyncio.run(record(given.seconds, given.data_dir))
    except (RuntimeError, TimeoutError, BystanderError) as error:
        print(f"bystander demo: {error or 'something took too long'}", file=sys.stderr)
        return 1
    print(render(outcome))
    print(outcome.path)
    return 0


async def record(seconds: float, data_dir: Path) -> DemoResult:
    """Start a server on `data_dir`, hold the call, stop the server."""
    print(f"starting a server on {data_dir}")
    async with serving(data_dir, settings=ON_LOOPBACK) as server:
        agent = {"person": AGENT.participant, "share_screen_after_s": seconds * _SHARE_AFTER}
        visitor = {"person": VISITOR.participant, "codec": "video/VP8"}
        call = DemoCall(seconds=seconds, parts=[agent, visitor])
        outcome = await hold(call, server, progress=_show)
    print()
    return outcome


def _show(recording: Recording) -> None:
    line = (
        f"  {recording.state:<10} {recording.duration_s or 0:5.1f} s  {(recording.bytes or 0) / 1e6:6.2f} MB"
    )
    print(f"\r{line}" if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bystander demo", description=__doc__)
    parser.add_argument("--seconds", type=_seconds, default=20.0, help="how long they talk (default 20)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(ServerSettings().data_dir),
        help="of the server (default ./data)",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 3 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("a call lasts 3 to 3600 seconds")
    return seconds
