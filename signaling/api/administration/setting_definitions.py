"""/v1/settings: which settings accounts, templates and conversations may say, and what a pattern makes."""

from typing import Annotated

import msgspec
from aiohttp import web

from recorder.kernel.limits import TEXT_CHARS_MAX
from signaling.console_port import SettingDefinition
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

_TAG = "settings"


class SettingDefinitions(msgspec.Struct, frozen=True):
    """All of them, in the order in which the reference has them."""

    items: list[SettingDefinition]


class PatternQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value of recording.filename_pattern."""

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARS_MAX)]


class FilenamePreview(msgspec.Struct, frozen=True):
    """What the recording of an example would be called."""

    filename: str


async def list_all(call: ApiCall) -> web.Response:
    return json_response(SettingDefinitions(call.context.ports.console.setting_definitions()))


async def preview(call: ApiCall) -> web.Response:
    pattern = call.query(PatternQuery).pattern
    return json_response(FilenamePreview(call.context.ports.console.filename_of(pattern)))


OPERATIONS = (
    Operation(
        "GET",
        "/v1/settings/definitions",
        id="listSettingDefinitions",
        summary="List the settings that accounts, templates and conversations may say.",
        handler=list_all,
        replies=(Reply(200, "Their definitions.", SettingDefinitions),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/settings/filename-preview",
        id="previewFilename",
        summary="What a filename pattern makes of an example.",
        handler=preview,
        query=PatternQuery,
        replies=(Reply(200, "The name.", FilenamePreview),),
        problems={400: ("invalid_settings",)},
        tag=_TAG,
    ),
)
