"""Repeats: the same act of the same actor again within a minute is counted, and told with the last. Pure.

What is counted as the same is coarser for strangers, and for who does more than a log has room for.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from recorder.kernel.audit.act import Act, Actor, ActorKind, Outcome
from recorder.kernel.network.addresses import share_of

WINDOW = timedelta(seconds=60)  # a player asks for a range each second, a page for its list every few
REMEMBERED_MAX = 4_096  # different acts in one window by all who said who they are, some 4 MB
ACTOR_MAX = 300  # different acts in one window by one of them: five a second
STRANGERS_MAX = 512  # addresses and codes in one window of those who did not say

_Kind = tuple[object, ...]
_Share = tuple[object, ...]  # of the room that there is for windows

_STRANGERS: _Share = ("strangers",)
_KNOWN: _Share = ("known",)
_COARSE: _Share = ("coarse",)


class Repeats:
    """One for each log. The first of a kind is told at once, the others of its window as one, later."""

    def __init__(self, remembered_max: int = REMEMBERED_MAX) -> None:
        self._remembered_max = remembered_max
        self._windows: dict[_Kind, _Window] = {}
        self._held: Counter[_Share] = Counter()

    @property
    def remembered(self) -> int:
        """How many windows there are."""
        return len(self._windows)

    def take(self, act: Act) -> list[Act]:
        """What is to be told now."""
        view = self._view(act)
        window = self._windows.get(view.kind)
        if window is not None and not window.is_over(act.occurred_at):
            self._windows[view.kind] = window.counting(view.act)
            return []
        if window is None:
            self._held.update(list(view.shares))
        self._windows[view.kind] = _Window(act.occurred_at, tuple(view.shares))
        return [view.act] if window is None or window.later is None else [window.later, view.act]

    def over(self, now: datetime | None) -> list[Act]:
        """What was counted in windows that are over by now; in all of them without a time."""
        ended = [kind for kind, window in self._windows.items() if now is None or window.is_over(now)]
        windows = [self._windows.pop(kind) for kind in ended]
        for window in windows:
            self._held.subtract(window.shares)
        self._held = +self._held  # forgets who holds none
        return [window.later for window in windows if window.later is not None]

    def _view(self, act: Act) -> "_View":
        """The most precise one that there is room for; for the last there always is."""
        *precise, coarsest = _views(act, self._remembered_max)
        return next((view for view in precise if self._has_room(view)), coarsest)

    def _has_room(self, view: "_View") -> bool:
        if view.kind in self._windows:
            return True
        return all(self._held[share] < bound for share, bound in view.shares.items())


class _Window(NamedTuple):
    begun_at: datetime
    shares: tuple[_Share, ...]
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


class _View(NamedTuple):
    """An act as it is told, what it is the same as, and whose room its window takes, with their bounds."""

    act: Act
    kind: _Kind
    shares: Mapping[_Share, int]


def _views(act: Act, remembered_max: int) -> Iterator[_View]:
    """The act as it is, and ever coarser; of the last there are no more than names of acts and codes."""
    if act.actor.kind is ActorKind.NOBODY:
        yield from _views_of_stranger(act)
        return
    actor, coarse = _identity(act.actor), _without_subject(act)
    yield _View(act, _kind(act), {actor: ACTOR_MAX, _KNOWN: remembered_max})
    yield _View(coarse, (_COARSE, actor, *_what(act)), {_COARSE: remembered_max})
    unnamed = msgspec.structs.replace(coarse, actor=Actor(kind=act.actor.kind))
    yield _View(unnamed, (_COARSE, act.actor.kind, *_what(act)), {})


def _views_of_stranger(act: Act) -> Iterator[_View]:
    """By address and code: a path is nothing but what a stranger made up."""
    coarse = _without_subject(act)
    same = (act.outcome, act.code, act.action if act.outcome is Outcome.DONE else None)
    yield _View(coarse, (_STRANGERS, share_of(act.actor.address or ""), *same), {_STRANGERS: STRANGERS_MAX})
    unnamed = msgspec.structs.replace(coarse, actor=Actor(kind=ActorKind.NOBODY))
    yield _View(unnamed, (_STRANGERS, *same), {})


def _identity(actor: Actor) -> _Share:
    """Who counts as one: an id wherever it comes from, and without an id what comes from one place."""
    return (actor.kind, actor.id or share_of(actor.address or ""))


def _without_subject(act: Act) -> Act:
    return msgspec.structs.replace(act, conversation=None, recording=None, target=None, details={})


def _what(act: Act) -> _Kind:
    return (act.action, act.outcome, act.code)


def _kind(act: Act) -> _Kind:
    """What makes two acts the same, but for their time and request."""
    details = tuple(sorted(act.details.items()))
    subject = (act.conversation, act.recording, act.target)
    return (act.actor, *_what(act), subject, details)
