"""The API of webhooks, over HTTP."""

from datetime import timedelta
from typing import Any

import pytest

from recorder.kernel.webhook import DeliveryState, EventType, WebhookDelivery
from tests.support.fake_webhooks import CREATED_AT
from tests.support.http import Served, problem

URL = "https://receiver.example/hook"


async def created(served: Served, **fields: Any) -> Any:
    answer = await served.client.post("/v1/webhooks", json={"url": URL, **fields}, headers=served.key)
    assert answer.status == 201, await answer.text()
    made = await answer.json()
    assert answer.headers["Location"] == f"/v1/webhooks/{made['id']}"
    return made


async def test_the_secret_is_told_when_it_is_made_and_never_again(served: Served) -> None:
    made = await created(served, events=["recording.available"], description="the archive")
    path = f"/v1/webhooks/{made['id']}"
    assert made["secret"].startswith("whsec_")
    shown = await (await served.client.get(path, headers=served.key)).json()
    assert shown["secret"] is None
    assert (shown["events"], shown["description"]) == (["recording.available"], "the archive")
    listed = await (await served.client.get("/v1/webhooks", headers=served.key)).json()
    assert [one["secret"] for one in listed["items"]] == [None]
    rotated = await (await served.client.post(path + "/secret", headers=served.key)).json()
    assert rotated["secret"] not in (None, made["secret"])


async def test_is_changed_tried_and_removed(served: Served) -> None:
    path = f"/v1/webhooks/{(await created(served))['id']}"
    answer = await served.client.patch(path, json={"enabled": False}, headers=served.key)
    changed = await answer.json()
    assert (changed["url"], changed["disabled_at"] is None) == (URL, False)
    trial = await (await served.client.post(path + "/test", headers=served.key)).json()
    assert (trial["ok"], trial["status"]) == (True, 204)
    assert (await served.client.delete(path, headers=served.key)).status == 204
    await problem(await served.client.get(path, headers=served.key), 404, "not_found")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_body"),
        ({"url": "http://127.0.0.1/"}, "private_network"),
        ({"url": URL, "events": ["recording.nothing"]}, "invalid_body"),
        ({"url": URL, "secret": "mine"}, "invalid_body"),
        ({"url": "x" * 3000}, "invalid_body"),
    ],
)
async def test_is_refused(served: Served, body: Any, code: str) -> None:
    answer = await served.client.post("/v1/webhooks", json=body, headers=served.key)
    await problem(answer, 422, code)


async def test_the_log_comes_in_pages_and_by_state(served: Served) -> None:
    path = f"/v1/webhooks/{(await created(served))['id']}/deliveries"
    states = [DeliveryState.DELIVERED, DeliveryState.PENDING, DeliveryState.DELIVERED]
    served.fake.webhooks.log = [
        WebhookDelivery(
            id=f"dlv_{number}",
            webhook="w",
            event=f"evt_{number}",
            type=EventType.RECORDING_STARTED,
            conversation="c",
            occurred_at=CREATED_AT,
            state=state,
            attempts=number,
            next_attempt_at=CREATED_AT + timedelta(hours=1),
            last_attempt_at=None,
            last_status=503,
            last_failure="refused",
        )
        for number, state in enumerate(states)
    ]
    first = await (await served.client.get(path + "?limit=2", headers=served.key)).json()
    assert [one["id"] for one in first["items"]] == ["dlv_0", "dlv_1"]
    rest = await served.client.get(f"{path}?after={first['next_after']}", headers=served.key)
    assert [one["id"] for one in (await rest.json())["items"]] == ["dlv_2"]
    waiting = await served.client.get(path + "?state=PENDING", headers=served.key)
    assert [one["id"] for one in (await waiting.json())["items"]] == ["dlv_1"]
    await problem(await served.client.get(path + "?state=LOST", headers=served.key), 400, "invalid_query")
