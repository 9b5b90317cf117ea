"""Which fragments begin with a key frame: every one while something moves, few on a page at rest.

A fragment is what a crash can cost; a group of fragments is what players seek by. On a still page key frames
are nearly all there is to store, so a fragment goes on without one as long as nothing changes. A group of
several fragments thus shows one picture from its beginning to its end, and a player that enters it anywhere,
or leaves out some of it (docs/encoding.md), shows the right one. Pure; times are nanoseconds.
"""

from recorder.limits import GROUP_DURATION_S_MAX

_GROUP_NS_MAX = round(GROUP_DURATION_S_MAX * 1e9)
_ALONE_AT_FIRST = 1  # the first fragment is its own group: players read it when they open the file


class Grouping:
    """Decides it for one recording, picture by picture."""

    def __init__(self, fragment_ns: int) -> None:
        """No fragment is longer than `fragment_ns`."""
        self._fragment_ns = fragment_ns
        self._fragments = 0
        self._begun_ns = 0
        self._changed = False  # something, within the fragment
        self._due = False
        self.still = False  # the fragment goes on without a key frame: it must end where something changes

    def begin_next(self) -> None:
        """Let the next fragment begin with a key frame."""
        self._due = True

    def add(self, at_ns: int, *, cut: bool, changed: bool) -> bool:
        """Take the next picture: whether a fragment begins with it, and whether it shows something else.

        Return whether it must be a key frame.
        """
        if not cut:
            self._changed |= changed
            return False
        longest_ns = at_ns + self._fragment_ns - self._begun_ns
        self.still = not (
            changed
            or self._changed
            or self._due
            or self._fragments <= _ALONE_AT_FIRST
            or longest_ns > _GROUP_NS_MAX
        )
        self._fragments += 1
        self._changed = False
        if self.still:
            return False
        self._begun_ns, self._due = at_ns, False
        return True
