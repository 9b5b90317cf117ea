"""/v1/webhooks: where events are posted, whether that works, and what has been."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from aiohttp import web

from recorder.kernel.errors import not_found
from recorder.kernel.limits import TEXT_CHARS_MAX
from recorder.kernel.webhook import DeliveryState, EventType, WebhookDelivery
from signaling.http.pages import Order, PageQuery, first_page
from signaling.http.text_types import AccountId, Text
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response
from signaling.webhook_port import Webhook, WebhookChange, WebhookTrial

URL_CHARS_MAX = 2048
_TAG = "webhooks"
_WEBHOOK = "/v1/webhooks/{webhook}"
_TARGET = {422: ("invalid_url", "private_network")}

Url = Annotated[str, msgspec.Meta(min_length=1, max_length=URL_CHARS_MAX)]
Events = Annotated[list[EventType], msgspec.Meta(max_length=len(EventType))]


class CreateWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`events` empty: all of them. `account` absent: of every account that the caller reaches."""

    url: Url
    events: Events = []
    account: AccountId | None = None
    description: Text | None = None


class UpdateWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is absent stays. `enabled` true also gives what waits a fresh day of attempts."""

    url: Url | None = None
    events: Events | None = None
    description: Text | None = None
    enabled: bool | None = None


class WebhookPage(msgspec.Struct, frozen=True):
    """Webhooks in the order in which they were made; `next_after` is the `after` of the next page."""

    items: list[Webhook]
    next_after: str | None


class DeliveryQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    """Which deliveries are asked for."""

    state: DeliveryState | None = None
    order: Order = Order.OLDEST_FIRST


class DeliveryPage(msgspec.Struct, frozen=True):
    """Deliveries in the order that was asked for; `next_after` is the `after` of the next page."""

    items: list[WebhookDelivery]
    next_after: str | None


async def create(call: ApiCall) -> web.Response:
    body, own = await call.body(CreateWebhook), call.caller.account
    if own is not None and body.account not in (None, own):
        raise not_found("account")
    call.tell({"url": _without_query(body.url), "account": own or body.account or ""})
    webhook = await call.context.ports.webhooks.create(
        account=own or body.account, url=body.url, events=body.events, description=body.description
    )
    return created(webhook, f"/v1/webhooks/{webhook.id}")


async def list_all(call: ApiCall) -> web.Response:
    query = call.query(PageQuery)
    found = await call.context.ports.webhooks.list(
        account=call.caller.account, after=query.after, limit=query.limit + 1
    )
    return json_response(WebhookPage(*first_page(found, query.limit)))


async def get(call: ApiCall) -> web.Response:
    return json_response(
        await call.context.ports.webhooks.get(call.path("webhook"), account=call.caller.account)
    )


async def update(call: ApiCall) -> web.Response:
    body = await call.body(UpdateWebhook)
    url = None if body.url is None else _without_query(body.url)
    said = {"url": url, "enabled": body.enabled, "events": body.events}
    call.tell({name: str(value) for name, value in said.items() if value is not None})
    change = WebhookChange(**msgspec.structs.asdict(body))
    port = call.context.ports.webhooks
    return json_response(await port.update(call.path("webhook"), change, account=call.caller.account))


async def delete(call: ApiCall) -> web.Response:
    await call.context.ports.webhooks.delete(call.path("webhook"), account=call.caller.account)
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def rotate(call: ApiCall) -> web.Response:
    port = call.context.ports.webhooks
    return json_response(await port.rotate(call.path("webhook"), account=call.caller.account))


async def test(call: ApiCall) -> web.Response:
    port = call.context.ports.webhooks
    return json_response(await port.test(call.path("webhook"), account=call.caller.account))


async def deliveries(call: ApiCall) -> web.Response:
    query = call.query(DeliveryQuery)
    found = await call.context.ports.webhooks.deliveries(
        call.path("webhook"),
        account=call.caller.account,
        state=query.state,
        newest_first=query.order is Order.NEWEST_FIRST,
        after=query.after,
        limit=query.limit + 1,
    )
    return json_response(DeliveryPage(*first_page(found, query.limit)))


def _without_query(url: str) -> str:
    """As the audit log may show it: what follows the path is often a secret."""
    return url.partition("?")[0][:TEXT_CHARS_MAX]


OPERATIONS = (
    Operation(
        "POST",
        "/v1/webhooks",
        id="createWebhook",
        summary="Register an address that events are posted to; the answer alone tells the signing secret.",
        handler=create,
        body=CreateWebhook,
        replies=(Reply(201, "The webhook, with its secret.", Webhook, headers=(LOCATION,)),),
        problems={404: ("not_found",), 409: ("too_many_webhooks",), **_TARGET},
        tag=_TAG,
    ),
    Operation(
        "GET",
        "/v1/webhooks",
        id="listWebhooks",
        summary="List webhooks, oldest first.",
        handler=list_all,
        query=PageQuery,
        replies=(Reply(200, "A page of webhooks.", WebhookPage),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _WEBHOOK,
        id="getWebhook",
        summary="Get a webhook.",
        handler=get,
        replies=(Reply(200, "The webhook.", Webhook),),
        tag=_TAG,
    ),
    Operation(
        "PATCH",
        _WEBHOOK,
        id="updateWebhook",
        summary="Change, disable or enable a webhook.",
        handler=update,
        body=UpdateWebhook,
        replies=(Reply(200, "The webhook.", Webhook),),
        problems=_TARGET,
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _WEBHOOK,
        id="deleteWebhook",
        summary="Remove a webhook, with what still waits for it.",
        handler=delete,
        replies=(Reply(204, "It is gone."),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _WEBHOOK + "/secret",
        id="rotateWebhookSecret",
        summary="Make a new signing secret; for a day the one before signs too.",
        handler=rotate,
        replies=(Reply(200, "The webhook, with its new secret.", Webhook),),
        tag=_TAG,
    ),
    Operation(
        "POST",
        _WEBHOOK + "/test",
        id="testWebhook",
        summary="Post a test event now, and say what came of it.",
        handler=test,
        replies=(Reply(200, "What came of it.", WebhookTrial),),
        problems={429: ("too_many_trials",)},
        tag=_TAG,
    ),
    Operation(
        "GET",
        _WEBHOOK + "/deliveries",
        id="listWebhookDeliveries",
        summary="What has reached this webhook, what waits, and what was given up.",
        handler=deliveries,
        query=DeliveryQuery,
        replies=(Reply(200, "A page of deliveries.", DeliveryPage),),
        tag=_TAG,
    ),
)
