"""Calls over the real network path, recorded in this process: scripts in, the file and its events out.

On a tests.support.simulated_time loop every packet leaves when its script says; on any other the machine may
keep its sender from that, and `Recorded.late_s` says by how much it did.
"""

import asyncio
import io
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from fractions import Fraction

import av

from media.check.av_offset import AvOffset, Region, measure
from media.engine import Engine
from media.handover.encoded_frame import Codec
from media.video.layout import Tile, arrange, fit
from recorder.kernel.conversation import Role
from recorder.kernel.media import Canvas, Fragment, MediaEvent, Publisher, SourceKind
from recorder.kernel.recording import RecordingPlan, Statistics
from tests.support.encoded_source import FLASH_S, PACKET_SAMPLES, Reports, opus_packets, plain
from tests.support.lossy_link import Impairment, LossyLink, without_candidates
from tests.support.processor import Processor, Slices
from tests.support.rtp_publisher import Outgoing, RtpPublisher
from tests.support.simulated_time import running_clock, watched_inbox

FPS = 25
SIZE = (320, 240)
CANVAS = Canvas(width=320, height=180)
FIRST_EVENT_S, EVENT_INTERVAL_S = 0.52, 0.8  # on borders of pictures and of Opus packets
PACKET_S = PACKET_SAMPLES / 48_000
LEAD_IN_S = 0.1  # from the connection of the last participant to the first media
Spans = tuple[tuple[float, float], ...]
ALWAYS: Spans = ((0.0, 1e9),)
USUAL_REPORTS = Reports()


def event_times(seconds: float) -> tuple[float, ...]:
    """When everybody flashes and beeps, in seconds of the call."""
    count = int((seconds - FIRST_EVENT_S - 0.2) / EVENT_INTERVAL_S) + 1
    return tuple(round(FIRST_EVENT_S + number * EVENT_INTERVAL_S, 3) for number in range(count))


@dataclass(frozen=True)
class Script:
    """What one participant does: when sound and pictures are sent, by which clocks, over which link.

    A sound packet leaves when its 20 ms are over, a picture `pipeline_s` after it was captured.
    """

    name: str = "ada"
    sound: Spans = ALWAYS
    pictures: Spans = ALWAYS
    skew_ppm: float = 0.0
    pipeline_s: float = 0.035
    sound_reports: Reports | None = USUAL_REPORTS
    picture_reports: Reports | None = USUAL_REPORTS
    codec: Codec = Codec.VP8
    hertz: int = 1000
    retransmission: bool = True
    link: Impairment | None = None
    back: Impairment | None = None
    rejoins_at_s: float | None = None
    stalls: Spans = ()  # (at, length): its sound clock, by which it flashes and beeps, stands still then
    sound_held: Spans = ()  # (from, to): what should leave then waits until it is over
    pictures_held: Spans = ()
    slices: Slices | None = None  # of the processor, which it has for itself otherwise

    def true_s(self, counted_s: float) -> float:
        """When the sound clock, which may stand still, counts so far."""
        return counted_s + sum(length_s for at_s, length_s in self.stalls if counted_s > at_s - 1e-9)


def said(script: Script, seconds: float) -> tuple[bytes, ...]:
    """The sound of a script, in Opus packets with FEC, one after the other."""
    return opus_packets(seconds, event_times(seconds), True, script.hertz)


def _overlap(from_s: float, to_s: float, flash_s: float) -> float:
    """For how long a flash lights a picture that is exposed between two instants."""
    return max(0.0, min(to_s, flash_s + FLASH_S) - max(from_s, flash_s))


class Camera:
    """A live encoder of dark pictures that are lit by flashes, so that any of them may be left out."""

    def __init__(self, codec: Codec, size: tuple[int, int], flashes_s: tuple[float, ...]) -> None:
        self._codec, self._size, self._flashes_s = codec, size, flashes_s
        self._encoder = self._opened()

    def picture(self, number: int, *, keyframe: bool) -> bytes:
        """The coded picture of that number."""
        lit_s = sum(_overlap(number / FPS, (number + 1) / FPS, flash) for flash in self._flashes_s)
        frame = plain(self._size, 16 + round(219 * lit_s * FPS), bar=number * 4)
        frame.pts, frame.time_base = number * 90_000 // FPS, Fraction(1, 90_000)
        if keyframe:
            frame.pict_type = av.video.frame.PictureType.I
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))

    def _opened(self) -> av.VideoCodecContext:
        encoder = av.CodecContext.create("libvpx" if self._codec is Codec.VP8 else "libx264", "w")
        encoder.width, encoder.height = self._size
        encoder.pix_fmt, encoder.time_base, encoder.framerate = "yuv420p", Fraction(1, 90_000), Fraction(FPS)
        encoder.bit_rate, encoder.gop_size, encoder.thread_count = 300_000, 100_000, 1
        encoder.options = (
            {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"}
            if self._codec is Codec.VP8
            else {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
        )
        return encoder


@dataclass
class Recorded:
    """What a call came to."""

    data: bytes
    events: list[MediaEvent]
    statistics: Statistics
    publishers: list[RtpPublisher]
    sent_pictures: list[int] = field(default_factory=list)  # of each script
    late_s: float = 0.0  # how much later than scripts want something was sent, at worst

    def of(self, scripts: list[Script], index: int) -> AvOffset:
        """Flashes and beeps of one participant."""
        tiles = [Tile(one.name, one.name, Role.VISITOR, SourceKind.CAMERA, True) for one in scripts]
        tile = fit(*SIZE, arrange(CANVAS, tiles)[index])
        inside = Region(tile.x + 8, tile.y + 8, tile.width - 16, tile.height // 2)
        return measure(io.BytesIO(self.data), region=inside, hertz=scripts[index].hertz)

    def kinds(self) -> list[str]:
        """The kinds of the events, in order."""
        return [event.kind for event in self.events]


class LiveCall:
    """An engine that records, and the participants of scripts that send to it, on one event loop."""

    def __init__(self, *, seed: int = 1, plan: RecordingPlan | None = None) -> None:
        self.plan = plan or RecordingPlan(
            recording="rec", conversation="conv", canvas=CANVAS, bind_host="127.0.0.1"
        )
        self.fragments: list[Fragment] = []
        self.events: list[MediaEvent] = []
        self._inbox = watched_inbox()
        self.engine = Engine(
            self.plan,
            write=lambda fragment: None if fragment.provisional else self.fragments.append(fragment),
            on_event=self.events.append,
            clock=running_clock(),
            inbox=self._inbox,
        )
        self.publishers: list[RtpPublisher] = []
        self.links: list[LossyLink] = []
        self._seed = seed
        self._exits = AsyncExitStack()
        self._sessions = 0

    async def __aenter__(self) -> "LiveCall":
        await self.engine.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._exits.aclose()
        await self._stop()

    async def join(self, script: Script, **options: object) -> tuple[RtpPublisher, str]:
        """Connect a participant through its link; return it and its session."""
        self._sessions += 1
        session = f"s{self._sessions}"
        options = {
            "audio": bool(script.sound),
            "video": bool(script.pictures),
            "retransmission": script.retransmission,
            **options,
        }
        publisher = RtpPublisher(seed=self._seed * 100 + self._sessions, **options)  # type: ignore[arg-type]
        await self._exits.enter_async_context(publisher)
        link = LossyLink(
            seed=self._seed * 100 + self._sessions, to_receiver=script.link, to_publisher=script.back
        )
        self.links.append(await self._exits.enter_async_context(link))
        self.publishers.append(publisher)
        who = Publisher(participant=script.name, name=script.name)
        answer, _ = await self.engine.publish(session, who, without_candidates(await publisher.offer()))
        await publisher.answered(await link.through(answer))
        return publisher, session

    async def recorded(self) -> Recorded:
        """Stop, and give what there is."""
        statistics = self.engine.statistics()
        await self._stop()
        data = b"".join(fragment.data for fragment in self.fragments)
        return Recorded(data, self.events, statistics, self.publishers)

    async def _stop(self) -> None:
        await self.engine.stop()
        if self._inbox is not None:
            self._inbox.over = True


class Performance:
    """One participant acting out a script; `zero_s` is the call's zero on the event loop's clock."""

    def __init__(self, script: Script, seconds: float, zero_s: float) -> None:
        self.script = script
        self.sent_pictures = 0
        self.late_s = 0.0  # how much later than the script wants something was sent, at worst
        self._zero_s = zero_s
        self._seconds = seconds
        self._events_s = tuple(script.true_s(at_s) for at_s in event_times(seconds))
        self._processor = Processor(script.slices, zero_s)

    async def run(self, publisher: RtpPublisher, *, from_s: float = 0.0, to_s: float | None = None) -> None:
        """Send what falls between these times of the call."""
        until_s = self._seconds if to_s is None else to_s
        async with asyncio.TaskGroup() as streams:
            if publisher.sound is not None:
                streams.create_task(self.speak(publisher, publisher.sound, from_s, until_s))
            for layer in publisher.layers:
                streams.create_task(self.show(publisher, layer, from_s, until_s))

    async def speak(self, publisher: RtpPublisher, source: Outgoing, from_s: float, to_s: float) -> None:
        """Send sound."""
        reports = _Reporting(publisher, source, self.script.sound_reports, self._zero_s)
        for number, data in enumerate(said(self.script, self._seconds)):
            at_s = number * PACKET_S
            true_s = self.script.true_s(at_s + PACKET_S) - PACKET_S
            if from_s <= true_s < to_s and _within(self.script.sound, true_s):
                await self._until(_released(self.script.sound_held, true_s + PACKET_S))
                await self._processor.frame()
                await publisher.send(source, Codec.OPUS, at_s, data)
                await reports.sent(at_s, true_s=true_s)

    async def show(
        self,
        publisher: RtpPublisher,
        source: Outgoing,
        from_s: float,
        to_s: float,
        *,
        codec: Codec | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Send pictures; key frames at the beginning, after a pause, and when they are asked for."""
        codec = codec or self.script.codec
        reports = _Reporting(publisher, source, self.script.picture_reports, self._zero_s)
        camera = Camera(codec, size or SIZE, self._events_s)
        paused = True
        for number in range(round(self._seconds * FPS)):
            at_s = number / FPS
            if not (from_s <= at_s < to_s and _within(self.script.pictures, at_s)):
                paused = True
                continue
            await self._until(_released(self.script.pictures_held, at_s), late_s=self.script.pipeline_s)
            await self._processor.frame()
            data = camera.picture(number, keyframe=paused or source.keyframe_wanted)
            paused = source.keyframe_wanted = False
            await publisher.send(source, codec, at_s, data)
            self.sent_pictures += 1
            await reports.sent(at_s)

    async def _until(self, at_s: float, *, late_s: float = 0.0) -> None:
        true_s = self._zero_s + at_s / (1 + self.script.skew_ppm * 1e-6) + late_s
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, true_s - loop.time()))
        self.late_s = max(self.late_s, loop.time() - true_s)


class _Reporting:
    """The sender reports of one stream, as its script wants them."""

    def __init__(self, publisher: RtpPublisher, source: Outgoing, how: Reports | None, zero_s: float) -> None:
        self._publisher, self._source, self._how, self._zero_s = publisher, source, how, zero_s
        self._began_s: float | None = None
        self._next_s = 0.0

    async def sent(self, at_s: float, *, true_s: float | None = None) -> None:
        """A frame of this instant was sent, which was then by the sender's clock of the day."""
        how = self._how
        true_s = at_s if true_s is None else true_s
        if how is None:
            return
        if self._began_s is None:
            self._began_s, self._next_s = at_s, at_s + how.first_s
        if at_s >= self._next_s:
            self._next_s += how.every_s
            if how.of_sending:
                true_s = asyncio.get_running_loop().time() - self._zero_s
            ntp_s = 3_900_000_000.0 + self._publisher.epoch_s + true_s + how.error_s(at_s)
            await self._publisher.report(self._source, at_s, ntp_s, late_s=how.late_s)


def _released(held: Spans, at_s: float) -> float:
    """When something leaves that should at this instant."""
    return next((to_s for from_s, to_s in held if from_s <= at_s < to_s), at_s)


def _within(spans: Spans, at_s: float) -> bool:
    return any(start - 1e-6 <= at_s < end - 1e-6 for start, end in spans)


async def perform(
    scripts: list[Script], seconds: float, *, seed: int = 1, plan: RecordingPlan | None = None
) -> Recorded:
    """Hold a call of these participants and give what was recorded."""
    async with LiveCall(seed=seed, plan=plan) as call:
        joined = [await call.join(script) for script in scripts]
        for script in scripts:
            said(script, seconds)  # or coding it would keep the first packets from leaving in time
        zero_s = asyncio.get_running_loop().time() + LEAD_IN_S
        performances = [Performance(script, seconds, zero_s) for script in scripts]

        async def act(index: int) -> None:
            script, acting, (publisher, session) = scripts[index], performances[index], joined[index]
            again_s = script.rejoins_at_s
            await acting.run(publisher, to_s=again_s)
            if again_s is not None:
                await call.engine.unpublish(session)
                publisher, _ = await call.join(script)
                now_s = asyncio.get_running_loop().time() - zero_s
                await acting.run(publisher, from_s=now_s + LEAD_IN_S)

        async with asyncio.TaskGroup() as acts:
            for index in range(len(scripts)):
                acts.create_task(act(index))
        await asyncio.sleep(max((one.link.delay_s + one.link.jitter_s if one.link else 0) for one in scripts))
        recorded = await call.recorded()
    recorded.sent_pictures = [one.sent_pictures for one in performances]
    recorded.late_s = max(one.late_s for one in performances)
    return recorded
