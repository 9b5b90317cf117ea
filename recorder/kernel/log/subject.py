"""The subject of log lines: the recording that a task works for.

A task hands it on to the tasks and threads that it starts, so a line deep in a store names the recording
whose part it was, though nobody there knows one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_subject: ContextVar[str | None] = ContextVar("recording", default=None)


def subject() -> str | None:
    """The recording that this task works for."""
    return _subject.get()


def log_about(recording: str | None) -> None:
    """Let the lines of this task, and of what it starts from now on, name this recording."""
    _subject.set(recording)


@contextmanager
def logging_about(recording: str | None) -> Iterator[None]:
    """The same until the end of this block, in a task that works for others too."""
    before = _subject.set(recording)
    try:
        yield
    finally:
        _subject.reset(before)
