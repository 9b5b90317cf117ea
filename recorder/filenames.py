"""The name that a recording's file is offered under, from the operator's pattern."""

import re
import string
from datetime import UTC, datetime

from recorder.errors import caller_error

FIELDS = frozenset({"conversation", "external_id", "recording", "start", "number"})
FILENAME_BYTES_MAX = 200  # file systems take 255; browsers append " (1)" and the like

# Separators, controls and what Windows refuses: the name goes into Content-Disposition and onto any disk.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')


def check_pattern(pattern: str) -> None:
    """Raise BystanderError `invalid_settings` unless the pattern uses known fields, plainly."""
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise _invalid(str(error)) from None
    for _, field, specification, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS:
            raise _invalid(f"unknown field {{{field}}}; there are {', '.join(sorted(FIELDS))}")
        if specification or conversion:
            raise _invalid(f"{{{field}}} takes no format")


def filename(
    pattern: str, *, conversation: str, external_id: str | None, recording: str, start: datetime, number: int
) -> str:
    """Fill a checked pattern; the result is one safe path component that ends in `.mp4`."""
    filled = pattern.format(
        conversation=conversation,
        external_id=external_id or conversation,
        recording=recording,
        start=start.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
        number=number,
    )
    stem = _FORBIDDEN.sub("_", filled.removesuffix(".mp4")).strip(" .") or recording
    shortened = stem.encode("utf-8", "replace")[:FILENAME_BYTES_MAX].decode("utf-8", "ignore")
    return f"{shortened}.mp4"


def _invalid(reason: str) -> Exception:
    return caller_error("invalid_settings", f"recording.filename_pattern: {reason}")
