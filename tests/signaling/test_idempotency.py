"""Idempotency-Key: one conversation for one key, whatever happens to the answers."""

import asyncio
from typing import Any

import pytest
from aiohttp import ClientResponse

from recorder.kernel.conversation import Conversation, Role
from recorder.kernel.errors import BystanderError, Fault
from signaling.http.idempotency import HEADER, REPLAYED
from tests.support.http import Served, problem

PATH = "/v1/conversations"


async def send(served: Served, key: str | None, body: Any = None, path: str = PATH) -> ClientResponse:
    headers = served.key | ({HEADER: key} if key is not None else {})
    return await served.client.post(path, headers=headers, json=body if body is not None else {})


class TestTheSameKey:
    async def test_gets_the_same_answer_and_does_nothing_twice(self, served: Served) -> None:
        first = await send(served, "k1", {"external_id": "x"})
        again = await send(served, "k1", {"external_id": "x"})
        assert (first.status, again.status) == (201, 201)
        assert await again.read() == await first.read()
        assert again.headers["Location"] == first.headers["Location"]
        assert (first.headers.get(REPLAYED), again.headers[REPLAYED]) == (None, "true")
        assert len(served.fake.conversations) == 1

    async def test_for_another_body_is_refused(self, served: Served) -> None:
        await send(served, "k1", {"external_id": "x"})
        said = await problem(await send(served, "k1", {"external_id": "y"}), 422, "idempotency_key_reused")
        assert said["field"] == f"header.{HEADER}"

    async def test_means_something_else_to_others_and_elsewhere(self, served: Served) -> None:
        conversation = await served.conversation()
        path = f"{PATH}/{conversation}/messages"
        ann = await served.token(conversation, Role.AGENT)
        made = [
            await send(served, "k1", {"text": "a"}, path),
            await served.client.post(path, headers=ann | {HEADER: "k1"}, json={"text": "a"}),
        ]
        assert [answer.status for answer in made] == [201, 201]
        assert len(served.fake.messages.said) == 2
        assert (await send(served, "k1")).headers.get(REPLAYED) is None

    async def test_at_the_same_time_is_answered_once(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        entered, go = asyncio.Event(), asyncio.Event()
        create = served.fake.ports.conversations.create

        async def slowly(**fields: Any) -> Conversation:
            entered.set()
            await go.wait()
            return await create(**fields)

        monkeypatch.setattr(served.fake.ports.conversations, "create", slowly)
        first = asyncio.create_task(send(served, "k1"))
        await entered.wait()
        await problem(await send(served, "k1"), 409, "request_in_progress")
        go.set()
        assert (await first).status == 201
        assert (await send(served, "k1")).headers[REPLAYED] == "true"
        assert len(served.fake.conversations) == 1


async def test_what_failed_is_tried_again(served: Served) -> None:
    error = BystanderError("database_failed", "It cannot.", fault=Fault.RESOURCE, status=503)
    served.fake.fail("conversations.create", error)
    assert (await send(served, "k1")).status == 503
    answer = await send(served, "k1")
    assert (answer.status, answer.headers.get(REPLAYED)) == (201, None)
    assert (await send(served, "k2", {"no": 1})).status == 422
    assert (await send(served, "k2", {})).status == 201


@pytest.mark.parametrize("wrong", ["", " ", "a b", "ä", "k" * 256])
async def test_a_key_has_a_form(served: Served, wrong: str) -> None:
    said = await problem(await send(served, wrong), 400, "invalid_idempotency_key")
    assert said["field"] == f"header.{HEADER}"
    assert (await send(served, "k" * 255)).status == 201


async def test_no_secret_is_kept_in_the_clear(served: Served) -> None:
    conversation = await served.conversation()
    path = f"{PATH}/{conversation}/participants"
    body = {"role": "AGENT", "name": "Ann"}
    made = await (await send(served, "k1", body, path)).json()
    (kept,) = served.fake.ports.kept_answers.kept.values()  # type: ignore[attr-defined]
    assert made["token"].encode() not in kept.sealed
    assert b"Ann" not in kept.sealed


async def test_uploads_take_no_key_for_what_they_ask_stands_in_headers(served: Served) -> None:
    conversation = await served.conversation()
    path, headers = f"{PATH}/{conversation}/uploads", served.key | {HEADER: "k1", "Tus-Resumable": "1.0.0"}
    begun = [
        await served.client.post(path, headers=headers | {"Upload-Length": length}) for length in ("4", "5")
    ]
    assert [answer.status for answer in begun] == [201, 201]
    assert begun[0].headers["Location"] != begun[1].headers["Location"]
    assert "Upload-Offset" in begun[1].headers
