"""Attacks of who has an API key: of few scopes, of another account, or one that ends."""

import asyncio
from typing import Any

from yarl import URL

from signaling.app import API
from signaling.routes.access import Scheme
from tests.attacks.scene import NOTICED_S, Scene
from tests.attacks.table import attack
from tests.signaling.test_access import BODIES, QUERIES

OF_A_CONVERSATION = [
    operation
    for operation in API
    if operation.access.scheme is Scheme.BEARER
    and any(f"{{{name}}}" in operation.path for name in ("conversation", "recording"))
]
STREAM_ENDS_S_MAX = 20.0
SEARCHES = ("/v1/conversations", "/v1/conversation-overviews", "/v1/recordings", "/v1/live", "/v1/webhooks")


@attack("call service", "to hand out a token that may more than its key")
async def more_than_the_key_may(scene: Scene) -> None:
    path = f"/v1/conversations/{scene.conversation}/participants"
    key = await scene.key("conversations:write")
    answer = await scene.ask("POST", path, token=key, body={"role": "SUPERVISOR", "name": "Eve"})
    assert answer == (403, "forbidden")


@attack("call service", "to hand out a key that lasts longer than its own")
async def longer_than_the_key_lasts(scene: Scene) -> None:
    key = await scene.key("admin", expires_at="2090-01-01T00:00:00Z")
    answer = await scene.ask("POST", "/v1/keys", token=key, body={"name": "x", "scopes": ["admin"]})
    assert answer == (403, "forbidden")


@attack(
    "call service", "to watch on by a stream after its key was revoked", "the stream ends with the next event"
)
async def a_stream_after_its_key(scene: Scene) -> None:
    watched = await scene.operator.start()
    body = {"name": "k", "scopes": ["recordings:read"]}
    made = await scene.operator.call("POST", "/v1/keys", body, status=201)
    headers = {"Authorization": f"Bearer {made['secret']}"}
    async with scene.attacker.get(f"/v1/recordings/{watched['id']}/events", headers=headers) as stream:
        await stream.content.readline()
        await scene.operator.call("DELETE", f"/v1/keys/{made['id']}")
        await scene.operator.stop(watched["id"])
        async with asyncio.timeout(STREAM_ENDS_S_MAX):
            rest = [line async for line in stream.content]
    assert not any(b"FINALIZING" in line or b"FAILED" in line for line in rest)


@attack("tenant", "every operation on what is another account's", "it is as if it were not there")
async def another_account(scene: Scene) -> None:
    key = await scene.key("admin", account="eve")
    names = {
        "conversation": scene.conversation,
        "recording": scene.recording["id"],
        "participant": scene.people["AGENT"]["id"],
        "interaction": "int_none",
        "upload": "file_none",
        "file": "file_none",
        "snapshot": "file_none",
        "background": "bg_none",
        "account": "default",
        "template": "t",
    }
    crossed: dict[str, tuple[int, str]] = {}
    for operation in OF_A_CONVERSATION:
        path = URL(operation.path.format(**names)).with_query(QUERIES.get(operation.id, {}))
        crossed[operation.id] = await _from_anywhere(
            scene, operation.method, str(path), token=key, body=BODIES.get(operation.id)
        )
    assert len(crossed) > 25
    wrong = {name: answer for name, answer in crossed.items() if answer[0] not in (403, 404)}
    assert not wrong, wrong
    assert await _from_anywhere(scene, "POST", "/v1/storage/test", token=key) == (403, "forbidden")


async def _from_anywhere(scene: Scene, method: str, path: str, **more: Any) -> tuple[int, str]:
    """Ask, from another address where that was too often: there are more operations than one may try."""
    answer = await scene.ask(method, path, **more)
    if answer[0] == 429:
        await scene.move()
        answer = await scene.ask(method, path, **more)
    return answer


@attack("tenant", "searches that may find what is another account's")
async def searches_across_accounts(scene: Scene) -> None:
    key = await scene.key("admin", account="eve")
    for path in SEARCHES:
        async with scene.attacker.get(path, headers={"Authorization": f"Bearer {key}"}) as answer:
            found: Any = await answer.json()
            assert answer.status == 403 or scene.recording["id"] not in str(found)
            assert scene.conversation not in str(found)


@attack("tenant", "webhooks to addresses that the server alone reaches")
async def addresses_that_only_the_server_reaches(scene: Scene) -> None:
    key = await scene.key("webhooks", account="eve")
    hosts = ("127.0.0.1", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1")
    for host in (*hosts, "[64:ff9b:1::1]", "[fec0::1]", "[::8.8.8.8]", "a.internal", "localhost"):
        answer = await scene.ask("POST", "/v1/webhooks", token=key, body={"url": f"http://{host}/"})
        assert answer == (422, "private_network"), host


@attack("tenant", "times beyond the calendar, and numbers beyond any database")
async def times_beyond_the_calendar(scene: Scene) -> None:
    key = await scene.key("conversations:read", account="eve")
    for query in (
        "created_from=0001-01-01T00:00:00%2B14:00",
        "created_until=9999-12-31T23:59:59-14:00",
        "limit=99999999999999999999",
        "limit=-1",
    ):
        async with asyncio.timeout(NOTICED_S):
            answer = await scene.ask("GET", str(URL(f"/v1/conversations?{query}", encoded=True)), token=key)
        assert answer == (400, "invalid_query"), query


@attack("tenant", "a connector to a call server where no operator said")
async def connecting_where_no_operator_said(scene: Scene) -> None:
    path = f"/v1/conversations/{scene.conversation}/interactions"
    key = await scene.key("conversations:write")
    for url in ("ws://127.0.0.1:1", "wss://169.254.169.254/", "ws://a.internal"):
        body = {"connector": {"kind": "janus", "url": url, "room": 1}}
        assert await scene.ask("POST", path, token=key, body=body) == (403, "target_not_allowed"), url
        agent = scene.people["AGENT"]["token"]
        assert await scene.ask("POST", path, token=agent, body=body) == (403, "forbidden")
