"""Repeats: the same act of the same actor again within a minute is counted, and told with the last. Pure."""

from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from recorder.kernel.audit.act import Act

WINDOW = timedelta(seconds=60)  # a player asks for a range each second, a page for its list every few
REMEMBERED_MAX = 4_096  # different acts in one window, some 4 MB; what is beyond is told each time


class Repeats:
    """One for each log. The first of a kind is told at once, the others of its window as one, later."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._windows: dict[_Kind, _Window] = {}

    def take(self, act: Act) -> list[Act]:
        """What is to be told now."""
        kind = _kind(act)
        window = self._windows.get(kind)
        if window is not None and not window.is_over(act.occurred_at):
            self._windows[kind] = window.counting(act)
            return []
        if window is not None or len(self._windows) < self._remembered_max:
            self._windows[kind] = _Window(act.occurred_at)
        return [act] if window is None or window.later is None else [window.later, act]

    def over(self, now: datetime | None) -> list[Act]:
        """What was counted in windows that are over by now; in all of them without a time."""
        ended = [kind for kind, window in self._windows.items() if now is None or window.is_over(now)]
        windows = [self._windows.pop(kind) for kind in ended]
        return [window.later for window in windows if window.later is not None]


class _Window(NamedTuple):
    begun_at: datetime
    later: Act | None = None  # the repeats as one act

    def is_over(self, now: datetime) -> bool:
        return now - self.begun_at >= WINDOW

    def counting(self, act: Act) -> "_Window":
        if self.later is None:
            return self._replace(later=msgspec.structs.replace(act, until=act.occurred_at))
        repeats = self.later.repeats + 1
        return self._replace(
            later=msgspec.structs.replace(self.later, repeats=repeats, until=act.occurred_at)
        )


_Kind = tuple[object, ...]


def _kind(act: Act) -> _Kind:
    """What makes two acts the same, but for their time and request."""
    details = tuple(sorted(act.details.items()))
    subject = (act.conversation, act.recording, act.target)
    return (act.action, act.actor, act.outcome, act.code, subject, details)
