"""The same publisher over the same bad link into us and into libwebrtc's own receiver, side by side.

`python -m benchmarks.fidelity [seconds] [word ...]`: rows whose names hold one of the words, or all. Without
libwebrtc (`make bench-fidelity` installs it) only our side is told. Ours is held in simulated time, which no
machine delays; libwebrtc knows the machine's time only, so on one that is busy its figures are worse.
"""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import av
import numpy as np

from benchmarks.fidelity_result import HEADER, Result, judged
from media.handover.encoded_frame import Codec
from tests.support.encoded_source import Reports
from tests.support.live_call import LEAD_IN_S, LiveCall, Performance, Script, said
from tests.support.lossy_link import Impairment, LossyLink, without_candidates
from tests.support.processor import Slices
from tests.support.rtp_publisher import RtpPublisher
from tests.support.simulated_time import SimulatedTimeLoop, simulate

SECONDS = 20.0
SEED = 5
ADA = Script(sound_reports=Reports(first_s=2.5, every_s=5.0))
STALLS_S = (0.02, 0.04, 0.1, 0.3, 0.5)
STARVED = {
    "sender has 22 % of a processor": Slices(0.022, 0.078, 0.0008, to_s=6.0),
    "sender has 15 % of a processor": Slices(0.015, 0.085, 0.0008, to_s=6.0),
    "sender has a second of each two": Slices(1.0, 1.0, 0.0008, to_s=6.0),
}
Disturb = Callable[[LossyLink, float], Awaitable[None]]


async def undisturbed(link: LossyLink, seconds: float) -> None:
    """Nothing happens."""


async def longer_way(link: LossyLink, seconds: float) -> None:
    """The link's delay changes by 150 ms in mid-call."""
    await asyncio.sleep(seconds / 2)
    link.to_receiver.delay_s += 0.15


async def bursts(link: LossyLink, seconds: float) -> None:
    """All is lost for 200 ms every two seconds."""
    for _ in range(int(seconds / 2) - 1):
        await asyncio.sleep(1.8)
        link.cut = True
        await asyncio.sleep(0.2)
        link.cut = False


def standing_still(length_s: float) -> Disturb:
    """Who receives gets no processor for so long every 1.3 s; nobody does on libwebrtc's side."""

    async def disturb(link: LossyLink, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        while isinstance(loop, SimulatedTimeLoop):
            await asyncio.sleep(1.3)
            loop.stand_still(length_s)

    return disturb


@dataclass(frozen=True)
class Row:
    """One call of the table."""

    script: Script
    link: Impairment
    disturb: Disturb = undisturbed

    def fresh(self) -> tuple[Impairment, Impairment]:
        """The link there and back, with nothing queued."""
        return replace(self.link), Impairment(delay_s=self.link.delay_s)


def rows() -> dict[str, Row]:
    """Every call of the table, by its name."""
    links = {
        "clean": Impairment(delay_s=0.02),
        "5 %, 30+30 ms": Impairment(0.05, 0.03, 0.03),
        "10 %, 100+60 ms": Impairment(0.10, 0.10, 0.06),
        "10 %, 200+100 ms": Impairment(0.10, 0.20, 0.10),
        "20 %, 50 ms": Impairment(0.20, 0.05),
        "1 Mbit/s": Impairment(delay_s=0.03, bits_s=1e6),
        "0.5 Mbit/s": Impairment(delay_s=0.03, bits_s=5e5),
    }
    made = {name: Row(ADA, link) for name, link in links.items()}
    made |= {f"{name}, H.264": Row(replace(ADA, codec=Codec.H264), links[name]) for name in list(links)[1:4]}
    made["5 %, no retransmission"] = Row(replace(ADA, retransmission=False), links["5 %, 30+30 ms"])
    made["bursts of 200 ms"] = Row(ADA, links["clean"], bursts)
    made["way 150 ms longer"] = Row(ADA, links["clean"], longer_way)
    for length_s in STALLS_S:
        length = f"{length_s * 1e3:.0f} ms"
        stalls = tuple((1.3 * number, length_s) for number in range(1, 60))
        held = tuple((start_s, start_s + length_s) for start_s, _ in stalls)
        made[f"sound stalls {length}"] = Row(replace(ADA, stalls=stalls), links["clean"])
        made[f"pictures stall {length}"] = Row(replace(ADA, pictures_held=held), links["clean"])
        sender = replace(ADA, sound_held=held, pictures_held=held)
        made[f"sender stalls {length}"] = Row(sender, links["clean"])
        made[f"recorder stalls {length}"] = Row(ADA, links["clean"], standing_still(length_s))
    for name, slices in STARVED.items():
        reports = Reports(first_s=1.1, of_sending=True)
        starved = replace(ADA, slices=slices, sound_reports=reports, picture_reports=reports)
        made[name] = Row(starved, links["clean"])
    return made


async def ours(row: Row, seconds: float) -> Result:
    """Record the call, and judge the file."""
    there, back = row.fresh()
    script = replace(row.script, link=there, back=back)
    async with LiveCall(seed=SEED) as call:
        publisher, _ = await call.join(script)
        await _perform(script, publisher, call.links[-1], row.disturb, seconds)
        await asyncio.sleep(1.0)
        recorded = await call.recorded()
    concealed = recorded.statistics.dropped.get("audio_concealed_samples", 0) / (48_000 * seconds)
    return _of_file(recorded.data, concealed)


async def theirs(row: Row, seconds: float) -> Result:
    """Let libwebrtc receive the call, and judge what it shows and plays."""
    from benchmarks.fidelity_judge import Judge

    there, back = row.fresh()
    judge = Judge()
    async with (
        RtpPublisher(seed=SEED * 100 + 1, retransmission=row.script.retransmission) as publisher,
        LossyLink(seed=SEED * 100 + 1, to_receiver=there, to_publisher=back) as link,
    ):
        answer = await judge.answer(without_candidates(await publisher.offer()))
        await publisher.answered(await link.through(answer))
        await _perform(row.script, publisher, link, row.disturb, seconds)
        await judge.count()
        await asyncio.sleep(1.0)
        return await judge.result()


async def _perform(
    script: Script, publisher: RtpPublisher, link: LossyLink, disturb: Disturb, seconds: float
) -> None:
    acting = Performance(script, seconds, asyncio.get_running_loop().time() + LEAD_IN_S)
    disturbing = asyncio.create_task(disturb(link, seconds))
    await acting.run(publisher)
    disturbing.cancel()


def _of_file(data: bytes, concealed: float) -> Result:
    shown: list[tuple[float, float]] = []
    blocks = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray()[: frame.height // 2, frame.width // 4 : 3 * frame.width // 4]
            shown.append((float(frame.time or 0.0), float(luma.mean())))
    with av.open(io.BytesIO(data), "r") as container:
        blocks = [frame.to_ndarray().mean(axis=0) for frame in container.decode(audio=0)]
    sound = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    return judged(shown, sound.astype(np.float32), 0.0, 48_000, concealed, 0)


async def _or_reason(made: Awaitable[Result]) -> Result | str:
    try:
        return await made
    except (ImportError, OSError, TimeoutError) as error:
        return f"none: {error!r}"


def main(seconds: float, words: list[str]) -> None:
    """Print the table."""
    print(f"{'':32}{'ours':52}libwebrtc\n{'':32}{HEADER:52}{HEADER}")
    for name, row in rows().items():
        if words and not any(word in name for word in words):
            continue
        said(row.script, seconds)  # coded before the call begins, or it would keep the first packets
        results = simulate(ours(row, seconds)), asyncio.run(_or_reason(theirs(row, seconds)))
        print(f"{name:32}" + "".join(f"{result!s:52}" for result in results), flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    length_s = float(arguments.pop(0)) if arguments and arguments[0].replace(".", "").isdigit() else SECONDS
    main(length_s, arguments)
