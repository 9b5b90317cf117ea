"""An EncodedSink that keeps everything, and a way to wait for what it gets."""

import asyncio
from collections.abc import Callable

from media.handover.encoded_frame import EncodedFrame, SenderReport, StreamControl


class RecordingSink:
    """`calls` holds (name, key) of every call but frames and reports, which are kept by stream key."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.frames: dict[str, list[EncodedFrame]] = {}
        self.reports: dict[str, list[SenderReport]] = {}
        self.streams: dict[str, StreamControl] = {}
        self.is_video: dict[str, bool] = {}
        self._changed = asyncio.Event()

    def stream_started(self, stream: StreamControl, *, video: bool) -> None:
        self.streams[stream.key] = stream
        self.is_video[stream.key] = video
        self._call("stream_started", stream)

    def frame(self, stream: StreamControl, frame: EncodedFrame) -> None:
        self.frames.setdefault(stream.key, []).append(frame)
        self._changed.set()

    def sender_report(self, stream: StreamControl, report: SenderReport) -> None:
        self.reports.setdefault(stream.key, []).append(report)
        self._changed.set()

    def source_changed(self, stream: StreamControl) -> None:
        self._call("source_changed", stream)

    def stream_ended(self, stream: StreamControl) -> None:
        self._call("stream_ended", stream)

    def video(self) -> list[EncodedFrame]:
        """All pictures, of all streams."""
        return [f for frames in self.frames.values() for f in frames if f.codec.is_video]

    def audio(self) -> list[EncodedFrame]:
        """All audio packets, of all streams."""
        return [f for frames in self.frames.values() for f in frames if not f.codec.is_video]

    def names(self) -> list[str]:
        """The names of the calls in order."""
        return [name for name, _ in self.calls]

    def note(self) -> None:
        """Something outside changed: look again."""
        self._changed.set()

    async def until(self, condition: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
        """Return when the condition holds, looked at after every call."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def _call(self, name: str, stream: StreamControl) -> None:
        self.calls.append((name, stream.key))
        self._changed.set()
