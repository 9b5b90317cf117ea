"""Values that an inner scope says of one key: taken, or refused with the key and the reason. Pure."""

from collections.abc import Collection
from typing import Any

import msgspec

from recorder.kernel.errors import BystanderError, caller_error
from recorder.settings.definitions import Definition, definitions, sections
from recorder.settings.filename_pattern import check_pattern
from recorder.settings.scopes import Scope

UNPROCESSABLE = 422
KEY_CHARS_MAX = 100  # of an unknown key, which the caller chose, as far as it is repeated


def parse_setting(scope: Scope, key: str, value: Any, *, locked: Collection[str]) -> Any:
    """Check and convert a plain value of `section.key` for this scope.

    `locked` names keys of [recording] that the operator keeps. Raises BystanderError (422) unknown_setting,
    setting_immutable, setting_not_allowed, setting_locked or invalid_setting; its detail begins with the key.
    """
    found = _definition(key)
    if not found.scopes:
        raise _refused("setting_immutable", key, "only the server's own settings say this")
    if scope not in found.scopes:
        raise _refused("setting_not_allowed", key, f"may be said by {', '.join(found.scopes)}, not {scope}")
    if key == f"recording.{found.name}" and found.name in locked:
        raise _refused("setting_locked", key, "the operator of the server keeps this to themselves")
    try:
        converted = msgspec.convert(value, found.type)
    except msgspec.ValidationError as error:
        raise _refused("invalid_setting", key, str(error)) from None
    if found.name == "filename_pattern":
        _check_pattern(key, converted)
    return converted


def _definition(key: str) -> Definition:
    section, _, name = key.partition(".")
    kind = sections().get(section)
    found = definitions(kind).get(name) if kind is not None else None
    if found is None:
        raise _refused("unknown_setting", key, "there is no such key")
    return found


def _check_pattern(key: str, pattern: str) -> None:
    try:
        check_pattern(pattern)
    except BystanderError as error:
        raise _refused("invalid_setting", key, error.detail.partition(": ")[2]) from None


def _refused(code: str, key: str, reason: str) -> BystanderError:
    return caller_error(code, f"{key[:KEY_CHARS_MAX]}: {reason}.", status=UNPROCESSABLE)
