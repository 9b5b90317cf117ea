"""The one thread of a recording on which codecs run and fragments are written."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from media.handover.render_queue import Batch, RenderQueue
from media.render.renderer import Renderer
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import Fragment, MediaEvent
from recorder.kernel.recording import EndReason, RecordingPlan

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a recording ended by itself, and the code of what went wrong where something did."""

    reason: EndReason
    failure: str | None = None


class RenderThread:
    """Takes batches from the inbox to a Renderer until the final one, or until something fails.

    `deliver` gets events and the streams that need a key frame, `failed` why it ended early: both are called
    on the event loop. Of `renderer` plain numbers alone may be read elsewhere. What it had dropped after the
    last batch is `dropped`, which may be read anywhere: it is replaced, never changed.
    """

    def __init__(
        self,
        plan: RecordingPlan,
        *,
        inbox: RenderQueue,
        write: Callable[[Fragment], None],
        deliver: Callable[[list[MediaEvent], set[str]], None],
        failed: Callable[[Ending], None],
    ) -> None:
        self.renderer: Renderer | None = None
        self.failure: BystanderError | None = None
        self.dropped: Mapping[str, int] = {}
        self._plan = plan
        self._inbox = inbox
        self._write = write
        self._deliver = deliver
        self._failed = failed
        self._events: list[MediaEvent] = []
        self._keyframes: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="render", daemon=True)

    async def start(self) -> None:
        """Begin, and return when the encoders are open; raises what keeps them from it."""
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._over = asyncio.Event()
        self._thread.start()
        await self._opened

    async def finished(self) -> None:
        """Return when everything is written, or nothing more will be."""
        await self._over.wait()

    # --- on the thread --------------------------------------------------------------------------------
    def _run(self) -> None:
        try:
            self.renderer = Renderer(
                self._plan, write=self._write, emit=self._events.append, want_keyframe=self._keyframes.add
            )
        except Exception as error:  # noqa: BLE001 - handed to `start`, which raises it
            self._post(self._opened.set_exception, error)
            self._post(self._over.set)
            return
        self._post(self._opened.set_result, None)
        try:
            self._render(self.renderer)
        except BystanderError as error:
            logger.error("the recording cannot be written: %s", error)
            self.failure = error
            self._post(self._failed, Ending(EndReason.ABORT_SYSTEM, error.code))
        except Exception:
            logger.exception("rendering failed")
            self.failure = BystanderError(
                "rendering_failed", "A defect ended the recording.", fault=Fault.SERVER, status=500
            )
            self._post(self._failed, Ending(EndReason.ABORT_UNEXPECTED, self.failure.code))
        finally:
            self._hand_over(self.renderer)
            self._post(self._over.set)

    def _render(self, renderer: Renderer) -> None:
        while True:
            batch = self._inbox.take()
            self._accept(renderer, batch)
            if batch.final:
                renderer.finish(batch.now_ns)
                return
            lag_ns = self._inbox.waiting_ns(batch.now_ns)
            renderer.advance(batch.now_ns, batch.blocked, lag_ns=lag_ns)
            self._hand_over(renderer)

    def _accept(self, renderer: Renderer, batch: Batch) -> None:
        for item in batch.items:
            renderer.accept(item, batch.now_ns)
        self._inbox.done(batch)

    def _hand_over(self, renderer: Renderer) -> None:
        self.dropped = renderer.dropped()
        if self._events or self._keyframes:
            self._post(self._deliver, list(self._events), set(self._keyframes))
            self._events.clear()
            self._keyframes.clear()

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(call, *arguments)
