"""Which fragments are joined into one: none while something moves, four on a page at rest.

On a still page key frames are nearly all there is to store, and every fragment needs one: libavformat, and
Chromium with it, cannot seek otherwise (docs/encoding.md). So where a page has come to rest before a cut,
what follows becomes part of the same fragment; where something moves across it, the next one begins there. A
page that is turned or scrolled now and then is at rest at most cuts. Pure; times are nanoseconds on the
recording's clock.
"""

from collections import deque
from collections.abc import Iterable

from media.encoding import VIDEO_TIMESCALE, EncodedPicture
from recorder.limits import STILL_FRAGMENTS_JOINED_MAX
from recorder.values import Canvas

AT_REST_S = 0.5  # nothing moved for so long: scrolling pauses for less
# x264 says "all as before" in 12 bytes of 320x180 and 67 of 1920x1080. While a sender sharpens its page, it
# takes 100 to 210 of 1920x1080; a caret that blinks takes 100 as well.
_STILL_BYTES_MIN = 24
_MACROBLOCKS_PER_BYTE = 35
_MACROBLOCK_SAMPLES = 256
_AT_REST = round(AT_REST_S * VIDEO_TIMESCALE)


class Lengthening:
    """Decides it for one recording, picture by picture."""

    def __init__(self, canvas: Canvas, fragment_ns: int) -> None:
        """Cuts are at most `fragment_ns` apart."""
        macroblocks = canvas.width * canvas.height // _MACROBLOCK_SAMPLES
        self._still_bytes = _STILL_BYTES_MIN + macroblocks // _MACROBLOCKS_PER_BYTE
        self._cut_ns_max = fragment_ns
        self._begun_ns: int | None = None  # the fragment, with its key frame
        self._changed: deque[int] = deque()  # 1/90000 s: pictures in the encoder that show something else
        self._moved_at: int | None = None  # 1/90000 s
        self._due = False

    def begin_next(self) -> None:
        """Let a fragment, hence a key frame, begin with the next cut."""
        self._due = True

    def add(self, at_ns: int, pts: int, *, cut: bool, changed: bool) -> bool:
        """Take the next picture: whether there is a cut, and whether it is not the same as the last one.

        `pts` is what the encoder knows it by. Return whether it is a key frame, which begins a fragment.
        """
        if changed:
            self._changed.append(pts)
        if not cut:
            return False
        longest_ns = self._cut_ns_max * STILL_FRAGMENTS_JOINED_MAX
        too_long = self._begun_ns is None or at_ns + self._cut_ns_max - self._begun_ns > longest_ns
        moves = self._moved_at is not None and pts - self._moved_at < _AT_REST
        if not (too_long or moves or self._due):
            return False
        self._begun_ns, self._due = at_ns, False
        return True

    def coded(self, pictures: Iterable[EncodedPicture]) -> None:
        """Take what came out of the encoder, in order."""
        for picture in pictures:
            while self._changed and self._changed[0] < picture.pts:
                self._changed.popleft()
            changed = bool(self._changed) and self._changed[0] == picture.pts
            if changed and not picture.keyframe and len(picture.data) > self._still_bytes:
                self._moved_at = picture.pts
