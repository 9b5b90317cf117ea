"""/v1/keys: API keys with scopes; a secret is told when it is made or rotated, and never again."""

from datetime import datetime
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import Meta

from recorder.kernel.permissions import ApiKey, IssuedKey, KeyScope
from signaling.http.pages import PageQuery, first_page
from signaling.http.text_types import AccountId, Text
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response

OVERLAP_S_MAX = 7 * 86_400  # a week is enough to bring a new secret everywhere
_TAG = "keys"
_KEYS = "/v1/keys"
_KEY = _KEYS + "/{key}"


class CreateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the key may be used for. `account` missing: the account of the key that asks."""

    name: Text
    scopes: Annotated[list[KeyScope], Meta(min_length=1, max_length=16)]
    account: AccountId | None = None
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class RotateKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many seconds the secret before stays good beside the new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=OVERLAP_S_MAX)] = 0


class KeyPage(msgspec.Struct, frozen=True):
    """Keys in the order in which they were made; `next_after` is the `after` of the next page."""

    items: list[ApiKey]
    next_after: str | None


async def create(call: ApiCall) -> web.Response:
    body, caller = await call.body(CreateKey), call.caller
    call.tell({"name": body.name, "scopes": " ".join(body.scopes), "account": body.account or ""})
    key = await call.context.ports.keys.create(
        caller,
        name=body.name,
        account=body.account or caller.account,
        scopes=body.scopes,
        expires_at=body.expires_at,
    )
    return created(key, f"{_KEYS}/{key.id}")


async def list_all(call: ApiCall) -> web.Response:
    query = call.query(PageQuery)
    found = await call.context.ports.keys.list(call.caller, after=query.after, limit=query.limit + 1)
    return json_response(KeyPage(*first_page(found, query.limit)))


async def get(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.keys.get(call.caller, call.path("key")))


async def rotate(call: ApiCall) -> web.Response:
    body = await call.body(RotateKey)
    return json_response(
        await call.context.ports.keys.rotate(call.caller, call.path("key"), overlap_s=body.overlap_s)
    )


async def revoke(call: ApiCall) -> web.Response:
    return json_response(await call.context.ports.keys.revoke(call.caller, call.path("key")))


OPERATIONS = (
    Operation(
        "POST",
        _KEYS,
        id="createKey",
        summary="Make an API key; the answer tells its secret, this once.",
        handler=create,
        body=CreateKey,
        replies=(Reply(201, "The key with its secret.", IssuedKey, headers=(LOCATION,)),),
        problems={422: ("invalid_expiry",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        _KEYS,
        id="listKeys",
        summary="List API keys, without their secrets.",
        handler=list_all,
        query=PageQuery,
        replies=(Reply(200, "A page of keys.", KeyPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _KEY,
        id="getKey",
        summary="Get an API key, without its secret.",
        handler=get,
        replies=(Reply(200, "The key.", ApiKey),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _KEY + "/rotate",
        id="rotateKey",
        summary="Give the key a new secret; the one before stays good for as long as asked.",
        handler=rotate,
        body=RotateKey,
        replies=(Reply(200, "The key with its new secret.", IssuedKey),),
        problems={409: ("key_revoked",)},
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _KEY,
        id="revokeKey",
        summary="Revoke a key: it is good for nothing from now on, and stays listed.",
        handler=revoke,
        replies=(Reply(200, "The revoked key.", ApiKey),),
        tag=_TAG,
    ),
)
