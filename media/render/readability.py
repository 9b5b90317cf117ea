"""Streams that cannot be read: encrypted by their sender for somebody else, or damaged. Pure.

What is whole and on time, and still gives no picture or no sound, will not by waiting; so it is told once,
and key frames are asked for less and less often. Times are nanoseconds.
"""

from collections import deque

SOUND_WINDOW = 25  # packets: half a second
SOUND_UNREADABLE = 10  # of them; what is encrypted as a whole is refused by every second decoder
SOUND_READABLE = 2
KEYFRAMES_UNREADABLE = 3  # none of which could be decoded
PICTURES_UNREADABLE_NS = 10_000_000_000  # pictures came for so long, and none could be decoded
ASK_NS_MIN = 1_000_000_000
ASK_NS_MAX = 30_000_000_000


class SoundReadability:
    """Whether a stream's packets are what they say: of a length that its timestamps have room for."""

    def __init__(self) -> None:
        self.unreadable = False
        self._refused: deque[bool] = deque(maxlen=SOUND_WINDOW)

    def packet(self, *, refused: bool) -> bool:
        """A packet was tried; return whether the stream is now otherwise than it was."""
        self._refused.append(refused)
        before, count = self.unreadable, sum(self._refused)
        if not before:
            self.unreadable = count >= SOUND_UNREADABLE
        elif len(self._refused) == SOUND_WINDOW:
            self.unreadable = count > SOUND_READABLE
        return self.unreadable is not before


class PictureReadability:
    """Whether a stream's pictures can be decoded, and how often asking for a key frame makes sense."""

    def __init__(self) -> None:
        self.unreadable = False
        self._keyframes = 0  # refused in a row
        self._since_ns: int | None = None  # nothing could be decoded
        self._asked_ns: int | None = None
        self._ask_ns = ASK_NS_MIN

    def decoded(self) -> bool:
        """A picture came out; return whether the stream is now otherwise than it was."""
        before, self.unreadable = self.unreadable, False
        self._keyframes, self._since_ns, self._asked_ns, self._ask_ns = 0, None, None, ASK_NS_MIN
        return before

    def refused(self, at_ns: int, *, keyframe: bool) -> bool:
        """A frame gave no picture; return whether the stream is now otherwise than it was."""
        self._keyframes += keyframe
        if self._since_ns is None:
            self._since_ns = at_ns
        lasts_ns = at_ns - self._since_ns
        before = self.unreadable
        self.unreadable |= self._keyframes >= KEYFRAMES_UNREADABLE or lasts_ns >= PICTURES_UNREADABLE_NS
        return self.unreadable is not before

    def may_ask(self, now_ns: int) -> bool:
        """Whether to ask for a key frame now: always while there is hope, then half as often each time."""
        if not self.unreadable:
            return True
        if self._asked_ns is not None and now_ns - self._asked_ns < self._ask_ns:
            return False
        if self._asked_ns is not None:
            self._ask_ns = min(ASK_NS_MAX, 2 * self._ask_ns)
        self._asked_ns = now_ns
        return True
