"""What the API answers for the console: live recordings, events, the store, its test, settings, capacity."""

import json
from typing import Any

import pytest

from recorder.kernel.permissions import KeyScope
from signaling.console_port import StorageStep
from signaling.ports import Caller
from tests.support.http import Served, bearer, problem


async def key_of(served: Served, account: str) -> dict[str, str]:
    """An administrator of one account."""
    made = await served.fake.keys.create(
        Caller(), name="k", account=account, scopes=[KeyScope.ADMIN], expires_at=None
    )
    return bearer(made.secret)


async def next_event(answer: Any) -> tuple[str, Any]:
    name = (await answer.content.readline()).decode().removeprefix("event: ").strip()
    data = (await answer.content.readline()).decode().removeprefix("data: ")
    await answer.content.readline()
    return name, json.loads(data)


class TestLive:
    async def test_is_what_runs_without_its_entry_point_s_secret_being_needed(self, served: Served) -> None:
        made = await served.recording()
        listed = await (await served.client.get("/v1/live", headers=served.key)).json()
        assert [one["id"] for one in listed["items"]] == [made["id"]]

    async def test_is_followed_while_it_changes(self, served: Served) -> None:
        made = await served.recording()
        async with served.client.get("/v1/live/events", headers=served.key) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            name, first = await next_event(answer)
            assert (name, first["items"][0]["id"]) == ("live", made["id"])
            await served.fake.finish(made["id"])
            assert (await next_event(answer)) == ("live", {"items": []})

    async def test_of_another_account_is_not_shown(self, served: Served) -> None:
        await served.recording()
        key = await key_of(served, "another")
        assert (await (await served.client.get("/v1/live", headers=key)).json()) == {"items": []}
        async with served.client.get("/v1/live/events", headers=key) as answer:
            assert (await next_event(answer)) == ("live", {"items": []})


class TestEvents:
    async def test_are_lines(self, served: Served) -> None:
        made = await served.recording()
        path = f"/v1/recordings/{made['id']}/events.jsonl"
        answer = await served.client.get(path, headers=served.key)
        assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
        assert [json.loads(line)["kind"] for line in (await answer.text()).splitlines()] == [
            "recording_started"
        ]


class TestStorage:
    @pytest.mark.parametrize(
        ("method", "path"), [("GET", "storage"), ("GET", "capacity"), ("POST", "storage/test/steps")]
    )
    async def test_is_not_for_administrators_of_one_account(
        self, served: Served, method: str, path: str
    ) -> None:
        answer = await served.client.request(method, f"/v1/{path}", headers=await key_of(served, "north"))
        await problem(answer, 403, "forbidden")

    async def test_tells_each_step_and_then_what_came_of_all(self, served: Served) -> None:
        served.fake.console.steps.append(
            StorageStep(name="read", ok=False, warning=False, seconds=0.2, detail="other bytes")
        )
        async with served.client.post("/v1/storage/test/steps", headers=served.key) as answer:
            events = [await next_event(answer) for _ in range(3)]
        assert [(name, one.get("name"), one["ok"]) for name, one in events] == [
            ("step", "write", True),
            ("step", "read", False),
            ("outcome", None, False),
        ]

    async def test_says_of_a_secret_only_whether_it_is_set(self, served: Served) -> None:
        (field,) = (await (await served.client.get("/v1/storage", headers=served.key)).json())["fields"]
        assert (field["secret"], field["is_set"], field["value"]) == (True, True, None)


class TestSettings:
    async def test_a_pattern_is_tried_on_an_example(self, served: Served) -> None:
        ask = {"pattern": "no {number}.mp4"}
        path = "/v1/settings/filename-preview"
        answer = await served.client.get(path, headers=served.key, params=ask)
        assert await answer.json() == {"filename": "no 1.mp4"}
        wrong = await served.client.get(path, headers=served.key, params={"pattern": "{nonsense}"})
        await problem(wrong, 400, "invalid_settings")
