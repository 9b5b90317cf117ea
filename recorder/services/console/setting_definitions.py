"""Definitions of the settings that inner scopes may say, and a preview of what one of them does."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from recorder.services.effective_settings import SECTION, scoped_definitions
from recorder.settings.definitions import Definition, RecordingSettings
from recorder.settings.filename_pattern import check_pattern, filename
from signaling.console_port import SettingDefinition

_WHEN = datetime(2026, 3, 1, 14, 30, tzinfo=UTC)


def setting_definitions(server: RecordingSettings) -> list[SettingDefinition]:
    """In the order in which they are written down."""
    return [_shown(key, one, server) for key, one in scoped_definitions().items()]


def _shown(key: str, one: Definition, server: RecordingSettings) -> SettingDefinition:
    return SettingDefinition(
        key=key,
        description=one.description,
        schema=_plain(msgspec.json.schema(one.type)),
        default=msgspec.to_builtins(one.default),
        scopes=[str(scope.value) for scope in one.scopes],
        locked=key in {f"{SECTION}.{name}" for name in server.locked},
    )


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """With what it refers to in its place: a definition names at most one enumeration."""
    known = schema.get("$defs", {})

    def resolved(value: Any) -> Any:
        if isinstance(value, list):
            return [resolved(one) for one in value]
        if not isinstance(value, dict):
            return value
        meant = known[value["$ref"].rpartition("/")[2]] if "$ref" in value else {}
        return {
            name: resolved(one) for name, one in {**meant, **value}.items() if name not in ("$ref", "$defs")
        }

    return dict(resolved(schema))


def filename_of(pattern: str) -> str:
    """What the recording of an example would be called; 400 invalid_settings."""
    check_pattern(pattern)
    return filename(
        pattern,
        conversation="conv_01jnb2k4m7",
        external_id="CRM-70021",
        recording="rec_01jnb2p9q3",
        start=_WHEN,
        number=1,
        participants=("Ada Lovelace", "Blaise Pascal"),
        metadata={"case": "K-4021", "desk": "north"},
    )
