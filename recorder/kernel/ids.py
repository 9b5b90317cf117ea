"""Opaque identifiers that sort by the time they were made."""

import re
import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u to misread
_TIME_DIGITS = 10
_RANDOM_DIGITS = 16
_PATTERN = re.compile(rf"[a-z]{{1,8}}_[{_ALPHABET}]{{{_TIME_DIGITS + _RANDOM_DIGITS}}}\Z")


def new_id(prefix: str, *, now_ms: int | None = None) -> str:
    """Return `prefix_` and 26 base-32 digits: 50 bits of Unix milliseconds, 80 bits of randomness.

    Ids of one prefix sort by creation time (to the millisecond) as plain strings.
    """
    when = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return f"{prefix}_{_base32(when, _TIME_DIGITS)}{_base32(secrets.randbits(80), _RANDOM_DIGITS)}"


class IdSequence:
    """Ids of one prefix, each after the one before, also within one millisecond; for one process."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._last_ms = 0

    def next(self) -> str:
        """At most a thousand a second, on average: beyond that they run ahead of the clock."""
        self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        return new_id(self._prefix, now_ms=self._last_ms)


def first_id(prefix: str, now_ms: int) -> str:
    """A text that sorts before every id made at `now_ms` or later, and after every earlier one."""
    return f"{prefix}_{_base32(now_ms, _TIME_DIGITS)}"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the exact form of an id with this prefix (safe as a file name)."""
    return text.startswith(prefix + "_") and _PATTERN.match(text) is not None


def new_secret() -> str:
    """Return 256 bits of randomness, URL-safe: for tokens and keys."""
    return secrets.token_urlsafe(32)


def _base32(number: int, digits: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in reversed(range(digits)))
