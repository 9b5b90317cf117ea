"""An engine behind the least of a WHIP endpoint, and what came to it from one publisher."""

import io
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from media.check.av_offset import AvOffset, Region, measure
from media.engine import Engine
from media.handover.encoded_frame import EncodedFrame
from media.handover.render_queue import RenderQueue
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Canvas, Fragment, MediaEvent, Publisher
from recorder.kernel.recording import RecordingPlan

CANVAS = Canvas(width=640, height=480)
REGION = Region(40, 40, 560, 200)
HERTZ = 1000.0
ANYBODY = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Expose-Headers": "*",
}


class CountingQueue(RenderQueue):
    """Counts the frames that were taken, by codec."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: Counter[str] = Counter()

    def put_frame(self, key: str, frame: EncodedFrame, at_ns: int | None = None) -> bool:
        taken = super().put_frame(key, frame, at_ns)
        self.taken[frame.codec.value] += taken
        return taken


class Door:
    """One recording of one publisher."""

    def __init__(self) -> None:
        self.fragments: list[Fragment] = []
        self.events: list[MediaEvent] = []
        self.queue = CountingQueue()
        self.answer = ""
        self.first_frame_s: float | None = None
        self.engine = Engine(
            RecordingPlan(recording="rec", conversation="conv", canvas=CANVAS),
            write=lambda fragment: None if fragment.provisional else self.fragments.append(fragment),
            on_event=self.events.append,
            clock=SystemClock(),
            inbox=self.queue,
        )
        self.url = ""
        self.answered_at = 0.0

    async def publish(self, offer: str) -> str:
        """The answer to an offer; BystanderError where it is refused."""
        publisher = Publisher(participant="part_1", name="a publisher")
        self.answer, _ = await self.engine.publish("s1", publisher, offer)
        self.answered_at = time.monotonic()
        return self.answer

    async def judged(self) -> AvOffset:
        """End the recording; flashes and beeps of what it holds."""
        await self.engine.stop()
        data = b"".join(fragment.data for fragment in self.fragments)
        if len(self.fragments) < 2:
            dropped = self.engine.statistics().dropped
            kinds = [(event.kind, event.detail) for event in self.events]
            raise RuntimeError(f"nothing was recorded: {dropped} {kinds}")
        return measure(io.BytesIO(data), region=REGION, hertz=HERTZ)

    async def post(self, request: web.Request) -> web.Response:
        """WHIP's POST."""
        try:
            answer = await self.publish(await request.text())
        except BystanderError as error:
            return web.Response(status=error.status, text=error.code, headers=ANYBODY)
        headers = ANYBODY | {"Location": "/whip/s1", "ETag": '"1"'}
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def patch(self, request: web.Request) -> web.Response:
        """WHIP's PATCH, for candidates."""
        await self.engine.trickle("s1", await request.text(), None)
        return web.Response(status=204, headers=ANYBODY)

    async def other(self, request: web.Request) -> web.Response:
        """DELETE, whose publisher the end of the recording ends, and preflights."""
        return web.Response(headers=ANYBODY)


@asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    """An engine that waits for a publisher at `url`."""
    door, app = Door(), web.Application()
    app.router.add_post("/whip", door.post)
    app.router.add_patch("/whip/s1", door.patch)
    for path in ("/whip", "/whip/s1"):
        app.router.add_route("OPTIONS", path, door.other)
    app.router.add_delete("/whip/s1", door.other)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    door.url = f"http://127.0.0.1:{runner.addresses[0][1]}/whip"
    await door.engine.start()
    try:
        yield door
    finally:
        await door.engine.stop()
        await runner.cleanup()
