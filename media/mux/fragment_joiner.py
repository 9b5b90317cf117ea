"""The joining of fragments: none while something moves, four into one on a page at rest.

On a still page key frames are nearly all there is to store, and every fragment needs one: libavformat, and
Chromium with it, cannot seek otherwise (docs/how/encoding.md). So where what was coded just before a cut is
little beside a key frame, what follows becomes part of the same fragment; where something moves across the
cut, the next one begins there. Pure; times are nanoseconds on the recording's clock.
"""

from collections import deque
from collections.abc import Iterable

from media.video.encoder import VIDEO_TIMESCALE, EncodedPicture
from recorder.kernel.limits import STILL_FRAGMENTS_JOINED_MAX

LOOKED_AT_S = 0.5  # before a cut: scrolling pauses for less
# Of the fragment's key frame. A page at rest takes a hundredth in that time, one that its sender sharpens
# after scrolling a twelfth; what scrolls or talks takes as much as a key frame.
_STILL_PART = 8
_LOOKED_AT = round(LOOKED_AT_S * VIDEO_TIMESCALE)


class FragmentJoiner:
    """Decides it for one recording, picture by picture."""

    def __init__(self, fragment_ns: int) -> None:
        """Cuts are at most `fragment_ns` apart."""
        self._cut_ns_max = fragment_ns
        self._begun_ns: int | None = None  # the fragment, with its key frame
        self._keyframe_bytes = 0
        self._recent: deque[EncodedPicture] = deque()  # of the last LOOKED_AT_S, no key frames
        self._due = False

    def begin_next(self) -> None:
        """Let a fragment, hence a key frame, begin with the next cut."""
        self._due = True

    def add(self, at_ns: int, pts: int, *, cut: bool) -> bool:
        """Take the next picture, and whether there is a cut; `pts` is what the encoder knows it by.

        Return whether it is a key frame, which begins a fragment.
        """
        if not cut:
            return False
        longest_ns = self._cut_ns_max * STILL_FRAGMENTS_JOINED_MAX
        too_long = self._begun_ns is None or at_ns + self._cut_ns_max - self._begun_ns > longest_ns
        if not (too_long or self._due or self._moves(pts)):
            return False
        self._begun_ns, self._due = at_ns, False
        return True

    def coded(self, pictures: Iterable[EncodedPicture]) -> None:
        """Take what came out of the encoder, in order."""
        for picture in pictures:
            if picture.keyframe:
                self._keyframe_bytes = len(picture.data)
            else:
                self._recent.append(picture)
            self._forget_before(picture.pts - _LOOKED_AT)

    def _moves(self, pts: int) -> bool:
        self._forget_before(pts - _LOOKED_AT)
        return sum(len(picture.data) for picture in self._recent) * _STILL_PART > self._keyframe_bytes

    def _forget_before(self, pts: int) -> None:
        while self._recent and self._recent[0].pts < pts:
            self._recent.popleft()
