"""Another product's Java-style properties as our settings, and what of them has no place here. Pure.

Covers com.unblu.conversation.recording.*, com.unblu.messenger.recordingEnabled and
com.unblu.identifier.recordingEntryPointBaseUrl. Every other property is none of a recorder's business.
"""

from collections.abc import Callable, Mapping
from typing import Any

import javaproperties
import msgspec

from recorder.kernel.errors import BystanderError, caller_error
from recorder.settings.addresses import http_url
from recorder.settings.definitions import definitions, sections
from recorder.settings.filename_pattern import check_pattern

VENDOR = "com.unblu."
RECORDING = VENDOR + "conversation.recording."
_ACCOUNT_ENABLED = VENDOR + "messenger.recordingEnabled"

_TRUE, _FALSE = "true", "false"
_ROLES = {"ASSIGNED_AGENT": "AGENT", "CONTEXT_PERSON": "VISITOR"}  # the others have the same names here


class Unmapped(msgspec.Struct, frozen=True):
    """A property that says something about recording, and could not be taken over."""

    property: str
    value: str
    reason: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """`values` by section and key, plain; `others` are properties about something else."""

    values: dict[str, dict[str, Any]]
    unmapped: list[Unmapped]
    others: list[str]


def _boolean(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in (_TRUE, _FALSE):
        raise ValueError("is neither true nor false")
    return lowered == _TRUE


def _number(text: str) -> int | float:
    number = float(text)
    return int(number) if number.is_integer() else number


def _word(text: str) -> str:
    return text.strip()


def _url(text: str) -> str:
    if (reason := http_url(text.strip())) is not None:
        raise ValueError(reason)
    return text.strip()


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _roles(text: str) -> list[str]:
    return [_ROLES.get(word, word) for word in _words(text)]


def _pattern(text: str) -> str:
    """Their placeholders are others than ours, so only a pattern that is right here too is taken."""
    if "$" in text or "%" in text:
        raise ValueError("its placeholders are not ours; see recording.filename_pattern")
    try:
        check_pattern(text)
    except BystanderError as error:
        raise ValueError(error.detail) from None
    return text


_MAPPED: Mapping[str, tuple[str, str, Callable[[str], Any]]] = {
    VENDOR + "identifier.recordingEntryPointBaseUrl": ("entry_point", "base_url", _url),
    RECORDING + "recordingTriggeringMode": ("recording", "triggering_mode", _word),
    RECORDING + "recordingTriggeringSources": ("recording", "triggering_sources", _words),
    RECORDING + "allowManualRecording": ("recording", "allow_manual", _roles),
    RECORDING + "recordingStartMode": ("recording", "start_mode", _word),
    RECORDING + "recordingMaxRetries": ("recording", "max_retries", _number),
    RECORDING + "initializationTimeout": ("recording", "initialization_timeout_s", _number),
    RECORDING + "recordingMaxRetryDelay": ("recording", "max_retry_delay_s", _number),
    RECORDING + "recordingFailoverMode": ("recording", "failover_mode", _word),
    RECORDING + "recordingFilenamePattern": ("recording", "filename_pattern", _pattern),
    RECORDING + "allowSeeRecordingAvailableMessages": ("recording", "visible_to", _roles),
}

_ENABLED = (_ACCOUNT_ENABLED, RECORDING + "recordingEnabled")  # both had to be on there; one key says it here

_NOWHERE = {
    RECORDING + "recordingApiKeyId": "keys are made by this server: POST /v1/keys",
}


def read_properties(text: str) -> dict[str, str]:
    """The properties of a file's text; the last of one name counts. 400 invalid_properties."""
    try:
        return dict(javaproperties.loads(text))
    except ValueError as error:
        raise caller_error("invalid_properties", str(error)) from None


def imported(properties: Mapping[str, str]) -> Imported:
    """What of these properties our settings can say, checked as if it had been written there."""
    values: dict[str, dict[str, Any]] = {}
    unmapped: list[Unmapped] = []
    for name, text in properties.items():
        try:
            section, key, value = _taken(name, text)
        except ValueError as error:
            unmapped.append(Unmapped(name, text, str(error)))
        except LookupError:
            continue
        else:
            held = values.setdefault(section, {})
            held[key] = held.get(key, True) and value if name in _ENABLED else value
    if "recording" in values:
        values["recording"].setdefault("enabled", False)  # as it was there where nobody switched it on
    known = {*_MAPPED, *_ENABLED, *(one.property for one in unmapped)}
    others = [name for name in properties if name not in known]
    return Imported(values=values, unmapped=unmapped, others=others)


def vendor_table() -> list[tuple[str, str]]:
    """Their properties, and what each is here, for people."""
    mapped = [(name, f"`{section}.{key}`") for name, (section, key, _) in _MAPPED.items()]
    enabled = [(name, "`recording.enabled`") for name in _ENABLED]
    return [*enabled, *mapped, *((name, f"- ({reason})") for name, reason in _NOWHERE.items())]


def _taken(name: str, text: str) -> tuple[str, str, Any]:
    """Section, key and plain value. ValueError with the reason; LookupError: about something else."""
    if name in _NOWHERE:
        raise ValueError(_NOWHERE[name])
    if name in _ENABLED:
        return "recording", "enabled", _boolean(text)
    if name not in _MAPPED:
        if name.startswith(RECORDING):
            raise ValueError("there is nothing like it here")
        raise LookupError(name)
    section, key, read = _MAPPED[name]
    value = read(text)
    try:
        msgspec.convert(value, definitions(sections()[section])[key].type)
    except msgspec.ValidationError as error:
        raise ValueError(f"{section}.{key}: {error}") from None
    return section, key, value
