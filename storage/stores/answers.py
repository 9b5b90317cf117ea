"""Answers of stores that are none: a gateway's page, nothing, or what no library can read."""

from typing import Any

from recorder.kernel.errors import BystanderError
from storage.errors import FAILED, store_error


def required(answer: Any, name: str) -> Any:
    """What an answer, which is read like a mapping, must hold to be one; store_failed where it does not."""
    value = answer.get(name)
    if value is None or value == "":
        raise store_error(FAILED, f"an answer without {name}")
    return value


def unreadable(error: Exception) -> BystanderError:
    """store_failed for what a library raised while it read an answer; errors of ours stay what they are."""
    if isinstance(error, BystanderError):
        return error
    return store_error(FAILED, f"an answer that cannot be read: {type(error).__name__}")
