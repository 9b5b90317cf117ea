"""A whole server: people are asked before anything of them is taken, and what was is found again."""

import json
from typing import Any

import aiohttp

from tests.support.aiortc_peer import AiortcPeer
from tests.support.api_client import ApiClient
from tests.support.browser import Visitor, chromium
from tests.support.server import RunningServer
from tests.support.stored import stored_events

ASKING = {"recording.consent": "ask"}
BY_ITSELF = {"recording.triggering_mode": "AUTOMATIC"}
REORDER_S_MAX = 1.5  # what is refused ends at its last packet, somewhat before the word of it
PUBLISHING = "body[data-publishing=connected]"


async def join(api: ApiClient, conversation: str, person: Visitor, role: str, name: str) -> str:
    made = await add(api, conversation, role, name)
    await person.page.goto(made["room_url"])
    await person.page.click("#join")
    await person.page.wait_for_selector("body[data-socket=open]")
    return str(made["id"])


async def conversation_saying(api: ApiClient, values: dict[str, Any], **fields: Any) -> str:
    """A new conversation with settings of its own."""
    made = (await api.call("POST", "/v1/conversations", fields, status=201))["id"]
    await api.call("PUT", f"/v1/conversations/{made}/settings", {"values": values})
    return str(made)


async def add(api: ApiClient, conversation: str, role: str, name: str) -> dict[str, Any]:
    path = f"/v1/conversations/{conversation}/participants"
    made: dict[str, Any] = await api.call("POST", path, {"role": role, "name": name}, status=201)
    return made


async def kinds(api: ApiClient, conversation: str) -> list[str]:
    """The conversation's messages: what was said, or the kind of what happened."""
    listed = await api.call("GET", f"/v1/conversations/{conversation}/messages")
    return [one["text"] or one["kind"] for one in listed["items"]]


async def test_in_the_room_nothing_is_taken_before_somebody_agreed(server: RunningServer) -> None:
    async with ApiClient(server) as api, chromium() as browser:
        conversation = await conversation_saying(api, ASKING | BY_ITSELF)
        async with Visitor(browser) as agent, Visitor(browser) as visitor:
            ada = await join(api, conversation, agent, "AGENT", "Ada")
            blaise = await join(api, conversation, visitor, "VISITOR", "Blaise")
            for one in (agent, visitor):
                await one.page.wait_for_selector("body[data-recording=starting]")
                assert await one.page.is_visible("#consent-agree")
            await agent.page.click("#consent-agree")
            await agent.page.wait_for_selector(PUBLISHING)
            await visitor.page.click("#consent-refuse")
            await visitor.page.wait_for_selector("body[data-consent=REFUSED]")
            assert await visitor.page.get_attribute("body", "data-publishing") in (None, "idle")
            await visitor.page.click("#consent-change")
            await visitor.page.wait_for_selector(PUBLISHING)
            await visitor.page.click("#consent-change")
            await visitor.page.wait_for_selector("body[data-publishing=idle]")
        answers = (await api.call("GET", f"/v1/conversations/{conversation}/consents"))["items"]
        assert {one["participant"]: one["answer"] for one in answers} == {
            ada: "AGREED",
            blaise: "REFUSED",
        }
        told = [kind for kind in await kinds(api, conversation) if kind.startswith("CONSENT")]
        assert told == ["CONSENT_GIVEN", "CONSENT_REFUSED", "CONSENT_GIVEN", "CONSENT_REFUSED"]


async def test_a_publisher_is_refused_before_they_agreed_and_ended_when_they_do_not_any_longer(
    server: RunningServer,
) -> None:
    async with ApiClient(server) as api:
        conversation = await conversation_saying(api, ASKING)
        ada = (await add(api, conversation, "AGENT", "Ada"))["id"]
        recording = await api.start(conversation)
        entry_point = recording["entry_point"]
        for who in (ada, "somebody"):
            assert await refusal(entry_point, who) == (403, "consent_required")
        path = f"/v1/conversations/{conversation}/participants/{ada}/consent"
        await api.call("PUT", path, {"answer": "AGREED"})
        async with api.publishing(entry_point, participant=ada, name="Ada"):
            await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 0.5)
            await api.call("PUT", path, {"answer": "REFUSED"})
            assert await refusal(entry_point, ada) == (403, "consent_required")
        await api.stop(recording["id"])
        over = await api.until(recording["id"], "AVAILABLE")
    lines = stored_events(server.data_dir / "recordings", recording["id"]).read_text().splitlines()
    answers = [event for event in map(json.loads, lines) if event["kind"].startswith("consent_")]
    assert [(event["kind"], event["participant"]) for event in answers] == [
        ("consent_given", ada),
        ("consent_refused", ada),
    ]
    assert answers[0]["at_s"] == 0.0  # before there was anything to record
    assert 0.5 < answers[1]["at_s"] < over["duration_s"] + REORDER_S_MAX


async def refusal(entry_point: dict[str, Any], participant: str) -> tuple[int, str]:
    """What a publisher is answered, and the code of it."""
    headers = {"Authorization": f"Bearer {entry_point['token']}", "Content-Type": "application/sdp"}
    query = {"participant": participant}
    async with aiohttp.ClientSession(headers=headers) as http, AiortcPeer() as peer:
        answer = await http.post(entry_point["url"], params=query, data=await peer.offer())
        return answer.status, (await answer.json())["code"]


async def test_a_recorded_call_is_found_again_with_all_around_it(server: RunningServer) -> None:
    async with ApiClient(server) as api:
        known = {"external_id": "case-7", "metadata": {"desk": "north"}, "account": "a"}
        conversation = await conversation_saying(api, {}, **known)
        ada = await add(api, conversation, "AGENT", "Ada Lovelace")
        visitor = await add(api, conversation, "VISITOR", "Blaise")
        path = f"/v1/conversations/{conversation}"
        await api.call("POST", f"{path}/messages", {"text": "before"}, status=201)
        recording = await api.start(conversation)
        async with api.publishing(recording["entry_point"], participant=ada["id"], name="Ada"):
            await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 0.5)
            said = {"text": "while", "participant": ada["id"]}
            await api.call("POST", f"{path}/messages", said, status=201)
        await api.stop(recording["id"])
        over = await api.until(recording["id"], "AVAILABLE")
        await api.call("DELETE", f"/v1/recordings/{recording['id']}", status=409)
        assert await kinds(api, conversation) == [
            "before",
            "RECORDING_STARTED",
            "while",
            "RECORDING_ENDED",
            "RECORDING_AVAILABLE",
        ]
        for search in ("external_id=case-7", "metadata=desk:north", "participant=ada%20lovelace"):
            found = await api.call("GET", f"/v1/conversations?{search}")
            assert [one["id"] for one in found["items"]] == [conversation], search
        (listed,) = (await api.call("GET", "/v1/recordings?state=AVAILABLE&account=a"))["items"]
        assert listed == listed | {"id": recording["id"]}
        assert [one["name"] for one in listed["participants"]] == ["Ada Lovelace", "Blaise"]
        assert [(one["number"], one["failure"]) for one in listed["attempts"]] == [(1, None)]
        assert listed["recording"]["bytes"] == over["bytes"]
        year = "since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"
        (usage,) = (await api.call("GET", f"/v1/usage?{year}&account=a"))["items"]
        assert (usage["account"], usage["recordings"], usage["bytes"]) == ("a", 1, over["bytes"])
        assert usage["minutes"] == round(over["duration_s"] / 60, 3)
        await sees(server.base_url, visitor["token"], path, announced=True, available=False)
        hidden = {"recording.visible_to": ["VISITOR"], "recording.banner": False}
        await api.call("PUT", "/v1/accounts/a/settings", {"values": hidden})
        await sees(server.base_url, visitor["token"], path, announced=True, available=True)
        await sees(server.base_url, ada["token"], path, announced=False, available=False)


async def sees(base_url: str, token: str, path: str, *, announced: bool, available: bool) -> None:
    """What a participant sees of the recording, and whether the message's link plays it."""
    async with aiohttp.ClientSession(base_url, headers={"Authorization": f"Bearer {token}"}) as http:
        async with http.get(f"{path}/messages") as answer:
            listed = (await answer.json())["items"]
        seen = {one["kind"] for one in listed}
        assert ("RECORDING_STARTED" in seen, "RECORDING_AVAILABLE" in seen) == (announced, available)
        async with http.get(f"{path}/recordings") as answer:
            assert answer.status == (200 if available else 403)
    if available:
        link = next(one["links"]["media"] for one in listed if one["kind"] == "RECORDING_AVAILABLE")
        async with aiohttp.ClientSession() as nobody, nobody.get(link) as answer:
            assert answer.status == 200


async def test_keys_and_tokens_over_http(server: RunningServer) -> None:
    async with ApiClient(server) as api:
        wanted = {"name": "desk", "account": "north", "scopes": ["conversations:write"]}
        made = await api.call("POST", "/v1/keys", wanted, status=201)
        rotated = await api.call("POST", f"/v1/keys/{made['id']}/rotate", {})
        assert await status(server, made["secret"], "/v1/conversations") == 401
        assert await status(server, rotated["secret"], "/v1/conversations") == 200
        assert await status(server, rotated["secret"], "/v1/recordings") == 403
        conversation = await api.conversation()  # of another account
        path = f"/v1/conversations/{conversation}"
        assert await status(server, rotated["secret"], path) == 404
        await api.call("DELETE", f"/v1/keys/{made['id']}")
        assert await status(server, rotated["secret"], "/v1/conversations") == 401
        ada = await add(api, conversation, "AGENT", "Ada")
        assert ada["token_expires_at"] > (await api.call("GET", path))["created_at"]
        renewed = await api.call("POST", f"{path}/participants/{ada['id']}/token")
        assert await status(server, ada["token"], path) == 401
        assert await status(server, renewed["token"], path) == 200
        assert renewed["room_url"].endswith(renewed["token"])


async def status(server: RunningServer, token: str, path: str) -> int:
    """What a GET with this token is answered."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(server.base_url, headers=headers) as http, http.get(path) as answer:
        return answer.status
