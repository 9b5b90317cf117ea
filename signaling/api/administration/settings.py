"""/v1/{accounts,templates,conversations}/{id}/settings: what each of them says, and what counts there."""

import re
from typing import Annotated, Any

import msgspec
from aiohttp import web

from recorder.kernel.conversation import DEFAULT_ACCOUNT
from recorder.kernel.errors import BystanderError, not_found
from recorder.kernel.limits import SETTINGS_PER_SCOPE_MAX
from signaling.http.problems import InvalidInputError
from signaling.http.text_types import AccountId
from signaling.ports import EffectiveSetting
from signaling.routes.operation import ApiCall, Header, Operation, Reply, json_response

SHOWN_CHARS_MAX = 256  # of a value in the audit log; none of these settings is a secret
_TAG = "settings"
_VERSION = re.compile(r'\A"(?P<version>[0-9]{1,9})"\Z')  # a strong entity tag (RFC 9110, 8.8.3) of ours
_ETAG = Header("ETag", "The version, for If-Match.")
_IF_MATCH = Header("If-Match", "The entity tag that was read: refuses when the settings were changed since.")
_REFUSALS = (
    "unknown_setting",
    "invalid_setting",
    "setting_not_allowed",
    "setting_immutable",
    "setting_locked",
)

Values = Annotated[dict[str, Any], msgspec.Meta(max_length=SETTINGS_PER_SCOPE_MAX)]


class SettingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`effective`: also what counts there. `account`: whose template it is; without it, the key's own."""

    effective: bool = False
    account: AccountId | None = None


class PutSettingsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account`: whose template it is; without it, the key's own."""

    account: AccountId | None = None


class PutSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that this scope says from now on, by full key: {"recording.type": "AUDIO"}."""

    values: Values


class ScopeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What one scope says; `effective` where asked for: every key, and the scope that it comes from."""

    scope: str
    owner: str
    version: int
    values: dict[str, Any]
    effective: dict[str, EffectiveSetting] | None = None


async def get(call: ApiCall) -> web.Response:
    scope, owner = _place(call)
    query, port = call.query(SettingsQuery), call.context.ports.settings
    account = _account(call, query.account)
    own = await port.get(scope, owner, account=account)
    effective = await port.effective(scope, owner, account=account) if query.effective else None
    return _answer(own, effective)


async def put(call: ApiCall) -> web.Response:
    scope, owner = _place(call)
    account = _account(call, call.query(PutSettingsQuery).account)
    version = if_match(call.request.headers.get("If-Match"))
    body, port = await call.body(PutSettings), call.context.ports.settings
    call.tell({key: str(value)[:SHOWN_CHARS_MAX] for key, value in body.values.items()})
    try:
        own = await port.put(scope, owner, body.values, account=account, version=version)
    except BystanderError as error:
        if error.code not in _REFUSALS:
            raise
        field = f"$.values.{error.detail.partition(':')[0]}"
        raise InvalidInputError(error.code, error.detail, field=field, status=error.status) from error
    return _answer(own, None)


def if_match(field: str | None) -> int | None:
    """The version that If-Match asks for; None without one, or for any (`*`).

    Raises 412 settings_changed for a tag that is none of ours: it matches nothing.
    """
    if field is None or field.strip() == "*":
        return None
    found = _VERSION.match(field.strip())
    if found is None:
        detail = "If-Match has to be the ETag that was read."
        raise InvalidInputError("settings_changed", detail, field="header.If-Match", status=412)
    return int(found["version"])


def _answer(own: Any, effective: dict[str, EffectiveSetting] | None) -> web.Response:
    shown = ScopeSettings(
        scope=own.scope, owner=own.owner, version=own.version, values=own.values, effective=effective
    )
    response = json_response(shown)
    response.headers["ETag"] = f'"{own.version}"'
    return response


def _place(call: ApiCall) -> tuple[str, str]:
    (scope,) = call.operation.path_parameters
    return scope, call.path(scope)


def _account(call: ApiCall, asked: str | None) -> str:
    """The account that a template is looked for in; a key of one account knows no other."""
    own = call.caller.account
    if own is not None and asked not in (None, own):
        raise not_found("account")
    return asked or own or DEFAULT_ACCOUNT


def _operations(scope: str) -> tuple[Operation, ...]:
    path, name = f"/v1/{scope}s/{{{scope}}}/settings", scope.capitalize()
    replies = (Reply(200, "The settings.", ScopeSettings, headers=(_ETAG,)),)
    return (
        Operation(
            "GET",
            path,
            id=f"get{name}Settings",
            summary=f"What this {scope} says of settings, and what counts for it.",
            handler=get,
            query=SettingsQuery,
            replies=replies,
            tag=_TAG,
        ),
        Operation(
            "PUT",
            path,
            id=f"put{name}Settings",
            summary=f"Replace all that this {scope} says of settings.",
            handler=put,
            query=PutSettingsQuery,
            body=PutSettings,
            headers=(_IF_MATCH,),
            replies=replies,
            problems={412: ("settings_changed",), 422: _REFUSALS},
            tag=_TAG,
        ),
    )


OPERATIONS = tuple(
    operation for scope in ("account", "template", "conversation") for operation in _operations(scope)
)
