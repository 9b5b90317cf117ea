"""Every operation with every kind of caller, against one table of who may do what."""

from typing import Any

import pytest
from aiohttp import ClientResponse

from recorder.values import Role
from signaling.app import API
from signaling.auth import Scheme
from signaling.operations import Operation
from tests.support.http import Served, bearer, problem

BEARER = [operation for operation in API if operation.access.scheme is Scheme.BEARER]

AGENTS = {Role.AGENT, Role.SECONDARY_AGENT, Role.SUPERVISOR}
MAY = {
    "createConversation": set(),
    "listConversations": set(),
    "getConversation": set(Role),
    "deleteConversation": set(),
    "endConversation": AGENTS,
    "addParticipant": set(),
    "listParticipants": set(Role),
    "startInteraction": AGENTS,
    "endInteraction": AGENTS,
    "startRecording": AGENTS,
    "listRecordings": AGENTS,
    "getRecording": AGENTS,
    "stopRecording": AGENTS,
    "pauseRecording": AGENTS,
    "resumeRecording": AGENTS,
    "getRecordingMedia": AGENTS,
    "headRecordingMedia": AGENTS,
    "watchRecording": AGENTS,
    "watchPage": AGENTS,
    "testStorage": set(),
}
BODIES: dict[str, Any] = {
    "createConversation": {},
    "addParticipant": {"role": "VISITOR", "name": "Ann"},
    "startInteraction": {"kind": "CALL"},
}


class Scene:
    """A conversation with a recording and an interaction, which requests can be made about."""

    def __init__(self, served: Served, conversation: str, recording: str, interaction: str) -> None:
        self.served = served
        self.conversation = conversation
        self._names = {"conversation": conversation, "recording": recording, "interaction": interaction}

    async def call(self, operation: Operation, headers: dict[str, str]) -> ClientResponse:
        path = operation.path.format(**self._names)
        body = BODIES.get(operation.id)
        return await self.served.client.request(operation.method, path, headers=headers, json=body)


@pytest.fixture
async def scene(served: Served) -> Scene:
    conversation = await served.conversation()
    made = await served.recording(conversation)
    served.fake.media[made["id"]].data += b"media"
    await served.fake.finish(made["id"])
    answer = await served.client.post(
        f"/v1/conversations/{conversation}/interactions", headers=served.key, json={"kind": "CALL"}
    )
    return Scene(served, conversation, made["id"], (await answer.json())["id"])


def test_the_table_names_every_operation() -> None:
    assert {operation.id for operation in BEARER} == set(MAY)


@pytest.mark.parametrize("operation", BEARER, ids=lambda one: one.id)
class TestEvery:
    async def test_an_api_key_may(self, scene: Scene, operation: Operation) -> None:
        answer = await scene.call(operation, scene.served.key)
        # a finished recording cannot be paused; that is said to whoever may ask
        assert answer.status in {reply.status for reply in operation.replies} | {409}

    @pytest.mark.parametrize("role", list(Role))
    async def test_a_participant_by_role(self, scene: Scene, operation: Operation, role: Role) -> None:
        answer = await scene.call(operation, await scene.served.token(scene.conversation, role))
        if role in MAY[operation.id]:
            assert answer.status in {reply.status for reply in operation.replies} | {409}
        else:
            assert answer.status == 403
            if operation.method != "HEAD":
                await problem(answer, 403, "forbidden")

    async def test_an_agent_of_another_conversation_finds_nothing(
        self, scene: Scene, operation: Operation
    ) -> None:
        elsewhere = await scene.served.conversation()
        answer = await scene.call(operation, await scene.served.token(elsewhere, Role.AGENT))
        assert answer.status == (404 if MAY[operation.id] else 403)

    @pytest.mark.parametrize(
        "headers",
        [{}, bearer("wrong"), {"Authorization": "Basic Zm9v"}, {"Authorization": "Bearer "}],
        ids=["nobody", "wrong", "basic", "empty"],
    )
    async def test_without_a_good_token_nobody_may(
        self, scene: Scene, operation: Operation, headers: dict[str, str]
    ) -> None:
        answer = await scene.call(operation, headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        if operation.method != "HEAD":
            await problem(answer, 401, "unauthorized")


class TestSecrets:
    async def test_who_starts_a_recording_gets_its_entry_point(self, scene: Scene) -> None:
        token = await scene.served.token(scene.conversation, Role.AGENT)
        answer = await scene.served.client.post(
            f"/v1/conversations/{scene.conversation}/recordings", headers=token
        )
        made = await answer.json()
        assert made["entry_point"]["token"]
        seen = await scene.served.client.get(f"/v1/recordings/{made['id']}", headers=token)
        assert (await seen.json())["entry_point"] is None
        listed = await scene.served.client.get(
            f"/v1/conversations/{scene.conversation}/recordings", headers=token
        )
        assert all(one["entry_point"] is None for one in (await listed.json())["items"])

    async def test_a_participants_token_is_told_once(self, scene: Scene) -> None:
        path = f"/v1/conversations/{scene.conversation}/participants"
        body = {"role": "AGENT", "name": "Ann"}
        made = await (await scene.served.client.post(path, headers=scene.served.key, json=body)).json()
        assert made["token"]
        listed = await (await scene.served.client.get(path, headers=scene.served.key)).json()
        assert [one["token"] for one in listed["items"]] == [None]
