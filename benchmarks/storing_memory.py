"""The memory that shipping takes: a process of its own that ships so many ended recordings at once.

`python -m benchmarks.storing_memory ROOT ENDPOINT IN_FLIGHT` ships every spool under ROOT, prints its peak.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from recorder.archive.finalisers import finalise_init, finalise_init_grown
from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import KIB, MIB
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.spool import SpoolFacts, seal, spooled_recordings
from storage.spool import format as form
from storage.upload.uploader import Uploader
from tests.storage.stores import s3_settings
from tests.support import footage

RECORDINGS = (0, 1, 10, 50)
IN_FLIGHT = (8, 64)  # storage.parts_in_flight_max: as it comes, and as many as may be
RECORDED_BYTES = 21 * MIB  # four parts and a little


async def measure(endpoint: str, facts: SpoolFacts) -> None:
    """Print a table: peak RSS by recordings shipped at once."""
    source = footage.make(width=160, height=90, noise=16)
    fragments = RECORDED_BYTES // len(source.fragment(1).data)
    print(f"\n{'recordings at once':<20}" + "".join(f"{f'{n} parts in flight':>22}" for n in IN_FLIGHT))
    with tempfile.TemporaryDirectory() as directory:
        footage.spool_of(source, Path(directory) / "one", facts, fragments)
        one = Path(directory) / "one" / facts.recording
        for count in RECORDINGS:
            peaks = []
            for in_flight in IN_FLIGHT:
                root = Path(directory) / f"{count}-{in_flight}"
                for number in range(count):
                    _make_spool(one, root, facts, f"rec_{number:026d}", prefix=root.name)
                peaks.append(await _peak(root, endpoint, in_flight))
            print(f"{count:<20}" + "".join(f"{f'{peak:.0f} MB':>22}" for peak in peaks))


def _make_spool(one: Path, root: Path, facts: SpoolFacts, recording: str, *, prefix: str) -> None:
    """A spool that shares its media with all the others: nothing is written to it."""
    directory = root / recording
    directory.mkdir(parents=True)
    for name in (form.MEDIA, form.INDEX):
        (directory / name).hardlink_to(one / name)
    (directory / form.EVENTS).touch()
    own = msgspec.structs.replace(facts, recording=recording, key=f"{prefix}/{recording}.mp4")
    (directory / form.FACTS).write_bytes(msgspec.json.encode(own))
    seal(root, recording, EndReason.NORMAL, "worker_died")


async def _peak(root: Path, endpoint: str, in_flight: int) -> float:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "benchmarks.storing_memory", str(root), endpoint, str(in_flight)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return float(said)


async def _ship(root: Path, endpoint: str, in_flight: int) -> None:
    settings = s3_settings(endpoint, parts_in_flight_max=in_flight, tail_interval_s=0)
    store = open_store(settings)
    await store.check()
    uploader = Uploader(
        store,
        root,
        SystemClock(),
        settings,
        finalise_init=finalise_init,
        grow_init=finalise_init_grown,
    )
    try:
        await asyncio.gather(*(uploader.finish(recording) for recording in spooled_recordings(root)))
    finally:
        await uploader.close()
        await store.close()


def main(root: str, endpoint: str, in_flight: str) -> None:
    """Ship all, then say the most that was resident at once, in 10^6 bytes."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the server has it
        runner.run(_ship(Path(root), endpoint, int(in_flight)))
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    told: Sequence[str] = next(line.split() for line in status.splitlines() if line.startswith("VmHWM"))
    print(int(told[1]) * KIB / 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
