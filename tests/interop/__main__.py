"""`python -m tests.interop [NAME...]`: every publisher in every codec it has; without names, a table."""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.kernel.errors import BystanderError
from tests.interop.browsers import in_chromium, in_firefox
from tests.interop.clip import Clip, make_clip
from tests.interop.door import Door, opened
from tests.support.certificates import certify

ROOT = Path(__file__).parents[2]
CLIENTS = Path(__file__).parent / "clients"
PAGE = ROOT / "docs/interop.md"
PACKAGES = ROOT / ".venv/interop"
PYTHON = ROOT / ".venv/interop-python/bin/python"
TIMEOUT_S = 90.0
AFTER_S = 1.5  # what is on its way, and waits for a retransmission
BEGIN, END = "<!-- measured -->\n", "<!-- /measured -->\n"

Publish = Callable[[Door, str, Clip], Awaitable[dict[str, Any]]]


@dataclass(frozen=True)
class Client:
    """A publisher, and the codecs that it sends pictures in."""

    name: str
    codecs: Sequence[str]
    publish: Publish


@dataclass(frozen=True)
class Outcome:
    """What became of ten seconds."""

    name: str
    codec: str
    version: str = ""
    connected_ms: float = 0.0
    found: int = 0
    sent: int = 0
    sync_ms: float = 0.0
    pairs: int = 0
    negotiated: str = ""
    failure: str = ""

    def row(self) -> str:
        """A line of the table."""
        if self.failure:
            return f"| {self.name} {self.version} | {self.codec} | - | - | - | {self.failure} |"
        sync = f"{self.sync_ms:+.0f} ms ({self.pairs})" if self.pairs else "-"
        return (
            f"| {self.name} {self.version} | {self.codec} | {self.connected_ms:.0f} ms "
            f"| {self.found} of {self.sent} | {sync} | {self.negotiated} |"
        )


def by_program(*command: str) -> Publish:
    """A client in a process of its own; in its words {url}, {codec}, {film} and the like are filled in."""

    async def publish(door: Door, codec: str, clip: Clip) -> dict[str, Any]:
        words = {
            "url": door.url,
            "codec": codec,
            "film": clip.film,
            "pictures": clip.pictures,
            "sound": clip.sound,
        }
        made = certify(clip.film.parent / "certificate", "127.0.0.1")
        words |= {"certificate": made.certificate, "key": made.key}
        process = await asyncio.create_subprocess_exec(
            *(word.format(**words) for word in command), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            out, complaint = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
        except TimeoutError:
            process.kill()
            raise RuntimeError("did not end") from None
        lines = [line for line in out.decode().splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError(
                (complaint.decode().strip().splitlines() or ["ended without a word"])[-1][:160]
            )
        answer: dict[str, Any] = json.loads(lines[-1])
        return answer

    return publish


def complaint_of(said: str) -> str:
    """The line that tells why, of what a program wrote before it gave up."""
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["ended without a word"]
    return next((line for line in lines if "Error" in line), lines[-1])[:160]


def by_browser(publish: Callable[[Door, str], Awaitable[dict[str, Any]]]) -> Publish:
    """A browser's page; the clip is drawn there."""

    async def published(door: Door, codec: str, _: Clip) -> dict[str, Any]:
        return await publish(door, codec)

    return published


def by_node(name: str, *files: str) -> Publish:
    """A program of Node, with what npm installed."""
    return by_program("node", str(CLIENTS / name), str(PACKAGES), "{url}", "{codec}", *files)


ALL = (
    Client("Chromium", ("VP8", "VP9", "H264", "AV1"), by_browser(in_chromium)),
    Client("Firefox ESR", ("VP8", "VP9", "AV1"), by_browser(in_firefox)),
    Client(
        "wrtc (PyPI)",
        ("VP8", "VP9", "AV1"),
        by_program(str(PYTHON), str(CLIENTS / "libwebrtc.py"), "{url}", "{codec}", "{pictures}", "{sound}"),
    ),
    Client("@roamhq/wrtc", ("VP8",), by_node("roamhq.mjs", "{pictures}", "{sound}")),
    Client("werift", ("VP8", "VP9", "H264"), by_node("werift.mjs", "{film}")),
    Client("node-datachannel", ("VP8", "VP9", "H264"), by_node("datachannel.mjs", "{film}")),
    Client(
        "GStreamer webrtcbin",
        ("VP8", "VP9", "H264"),
        by_program(
            *("/usr/bin/python3", str(CLIENTS / "gstreamer.py")),
            *("{url}", "{codec}", "{pictures}", "{sound}"),
        ),
    ),
    Client(
        "FFmpeg whip",
        ("H264",),
        by_program(
            sys.executable,
            str(CLIENTS / "ffmpeg_whip.py"),
            "{url}",
            "{codec}",
            "{film}",
            "{certificate}",
            "{key}",
        ),
    ),
)


async def tried(client: Client, codec: str, clip: Clip) -> Outcome:
    """Ten seconds of one client in one codec."""
    async with opened() as door:
        try:
            said = await client.publish(door, codec, clip)
        except (RuntimeError, BystanderError, TimeoutError) as error:
            reason = [
                event.detail.get("reason") for event in door.events if event.kind == "connection_failed"
            ]
            return Outcome(client.name, codec, failure=f"{error}" + (f" ({reason[0]})" if reason else ""))
        await asyncio.sleep(AFTER_S)
        try:
            offset = await door.judged()
        except RuntimeError as error:
            return Outcome(client.name, codec, version=said["version"], failure=str(error))
        video = sum(count for name, count in door.queue.taken.items() if name != "opus")
        return Outcome(
            client.name,
            codec,
            version=said["version"],
            connected_ms=said["connected_ms"],
            found=video,
            sent=said["sent"],
            sync_ms=offset.median_s * 1000 if offset.offsets_s else 0.0,
            pairs=len(offset.offsets_s),
            negotiated=negotiated(door),
        )


def negotiated(door: Door) -> str:
    """What the answer took, and who began DTLS."""
    taken = re.findall(r"^a=rtpmap:\d+ ([\w-]+)/", door.answer, re.MULTILINE)
    extras = [word for word in ("nack pli", "transport-cc") if word in door.answer]
    extras += ["RTX"] if "rtx" in taken else []
    used = [name for name, count in door.queue.taken.items() if count]
    return ", ".join([*used, *extras])


async def main(names: Sequence[str]) -> None:
    rows: list[Outcome] = []
    with tempfile.TemporaryDirectory() as directory:
        clip = make_clip(Path(directory))
        for client in ALL:
            if names and not any(name.lower() in client.name.lower() for name in names):
                continue
            for codec in client.codecs:
                outcome = await tried(client, codec, clip)
                rows.append(outcome)
                sys.stdout.write(rows[-1].row() + "\n")
                sys.stdout.flush()
    if not names:
        write(rows)


def write(rows: Sequence[Outcome]) -> None:
    """Put the table into its page."""
    head = "| publisher | pictures | connected | pictures found | sound after picture (pairs) | used |\n"
    table = head + "|---|---|---|---|---|---|\n" + "".join(each.row() + "\n" for each in rows)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table + END + rest.partition(END)[2])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
