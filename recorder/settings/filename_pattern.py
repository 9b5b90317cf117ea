"""The name that a recording's file is offered under, from the operator's pattern. Pure."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from recorder.kernel.errors import caller_error

FIELDS = frozenset({"conversation", "external_id", "recording", "start", "number", "participants"})
METADATA = "metadata."  # {metadata.case}: the conversation's own metadata, by key
FILENAME_BYTES_MAX = 150  # with the recording's id behind it, a key's segment; file systems take 255
PARTICIPANTS_MARK = "\x1f"  # in a template: no text that is filled in can hold it
PARTICIPANTS_BYTES_MAX = 80  # a name that is full of names has no room for the rest

# Separators, and what Windows refuses: the name goes into Content-Disposition and onto any disk.
_FORBIDDEN = frozenset('/\\:*?"<>|')
# Controls, format characters that turn text around, surrogates, private use, separators of lines.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Devices that Windows finds in every directory, whatever follows the first dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\.|\Z)", re.IGNORECASE)
_FIELD = re.compile(r"{([^{}]*)}|([{}])")
_METADATA_KEY = re.compile(r"[A-Za-z0-9_.\-]{1,256}\Z")


def check_pattern(pattern: str) -> None:
    """Raise BystanderError `invalid_settings` unless the pattern uses known fields, plainly."""
    for field, brace in _FIELD.findall(pattern):
        if brace:
            raise _invalid(f"a single {brace}")
        known = field in FIELDS or (
            field.startswith(METADATA) and _METADATA_KEY.match(field[len(METADATA) :]) is not None
        )
        if not known:
            raise _invalid(
                f"unknown field {{{field}}}; there are {', '.join(sorted(FIELDS))}, metadata.<key>"
            )


def filename(
    pattern: str,
    *,
    conversation: str,
    external_id: str | None,
    recording: str,
    start: datetime,
    number: int,
    participants: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Fill a checked pattern; the result is one safe path component that ends in `.mp4`.

    Any two of these differ in a file system that ignores case or normalises only if the pattern says so:
    keys in the store are told apart by the recording's id (storage.keys.recording_key).
    """
    template = filename_template(
        pattern,
        conversation=conversation,
        external_id=external_id,
        recording=recording,
        start=start,
        number=number,
        metadata=metadata,
    )
    return name_with(template, participants) or f"{recording}.mp4"


def filename_template(
    pattern: str,
    *,
    conversation: str,
    external_id: str | None,
    recording: str,
    start: datetime,
    number: int,
    metadata: Mapping[str, str] | None = None,
) -> str:
    """Fill a checked pattern with all but who took part; PARTICIPANTS_MARK stands where they are named."""
    values = {
        "conversation": conversation,
        "external_id": external_id or conversation,
        "recording": recording,
        "start": start.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ"),
        "number": str(number),
    }
    told = metadata or {}

    def value(match: "re.Match[str]") -> str:
        field = match[1]
        if field == "participants":
            return PARTICIPANTS_MARK
        return _visible(told.get(field[len(METADATA) :], "") if field.startswith(METADATA) else values[field])

    return _FIELD.sub(value, _visible(pattern.removesuffix(".mp4")))


def name_with(template: str, participants: Sequence[str]) -> str | None:
    """The name that a template gives once it is known who took part; None where nothing is left of it."""
    people = _cut("-".join(filter(None, participants)), PARTICIPANTS_BYTES_MAX)
    stem = _safe(template.replace(PARTICIPANTS_MARK, people))
    return f"{stem}.mp4" if stem else None


def _safe(stem: str) -> str:
    """One path component on every file system, or nothing."""
    composed = unicodedata.normalize("NFC", stem)
    plain = _visible(composed)
    # Twice: cutting can bring a dot or a space to the end, which Windows drops and so names another file.
    cut = _cut(plain.strip(" ."), FILENAME_BYTES_MAX - 1).strip(" .")
    return f"_{cut}" if _DEVICE.match(cut) else cut


def _visible(text: str) -> str:
    return "".join("_" if _is_unsafe(char) else char for char in text)


def _is_unsafe(char: str) -> bool:
    return char in _FORBIDDEN or unicodedata.category(char) in _INVISIBLE


def _cut(text: str, bytes_max: int) -> str:
    return text.encode("utf-8", "replace")[:bytes_max].decode("utf-8", "ignore")


def _invalid(reason: str) -> Exception:
    return caller_error("invalid_settings", f"recording.filename_pattern: {reason}")
