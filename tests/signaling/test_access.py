"""Every operation with every role and every scope, against the one table of who may do what.

The table itself is held against a second one, written down by hand: what changes there is seen in a review.
"""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from aiohttp import ClientResponse

from recorder.kernel.conversation import Role
from recorder.kernel.files.file import PictureSource
from recorder.kernel.permissions import AGENTS, ApiKey, ConversationTerms, KeyScope, granted
from signaling.app import API
from signaling.ports import Caller
from signaling.routes.access import ACCESS, Scheme
from signaling.routes.operation import Operation
from tests.support.http import Served, bearer, problem

BEARER = [operation for operation in API if operation.access.scheme is Scheme.BEARER]

# What participants may, in their own conversation. What is not here is for API keys alone.
ROLES: dict[str, frozenset[Role]] = {
    **dict.fromkeys(
        [
            "getConversation",
            "listDecisions",
            "listParticipants",
            "sendMessage",
            "listMessages",
            "answerConsent",
            "listConsents",
            "getServices",
            "listFiles",
            "getFile",
            "getFileContent",
            "headFileContent",
            "createUpload",
            "getUpload",
            "appendUpload",
            "cancelUpload",
            "sendSnapshot",
            "refuseSnapshot",
        ],
        frozenset(Role),
    ),
    **dict.fromkeys(
        [
            "endConversation",
            "takeSnapshot",
            "listOfferedBackgrounds",
            "getOfferedBackground",
            "startInteraction",
            "getInteraction",
            "endInteraction",
            "startRecording",
            "stopRecording",
            "pauseRecording",
            "resumeRecording",
            "deleteRecording",  # and are told that nobody may
        ],
        AGENTS,
    ),
}
SHOWING = {  # recordings: to whom `recording.visible_to` names
    "listRecordings",
    "getRecording",
    "getRecordingDetails",
    "getRecordingEvents",
    "getRecordingMedia",
    "headRecordingMedia",
    "getRecordingFile",
    "headRecordingFile",
    "getRecordingPlaylist",
    "watchRecording",
    "watchPage",
}
NEVER_WITHOUT_ADMIN = {
    *("createKey", "listKeys", "getKey", "rotateKey", "revokeKey"),
    *("testStorage", "followStorageTest", "getStorage", "getCapacity"),
}
BODIES: dict[str, Any] = {
    "createConversation": {},
    "addParticipant": {"role": "VISITOR", "name": "Ann"},
    "invitePublisher": {"participant": "part_nobody"},
    "startInteraction": {"kind": "CALL"},
    "sendMessage": {"text": "Hello"},
    "answerConsent": {"answer": "AGREED"},
    "takeSnapshot": {"participant": "part_nobody"},
    "refuseSnapshot": {"reason": "no_picture"},
    "createKey": {"name": "desk", "scopes": ["usage"]},
    "rotateKey": {},
    "putAccountSettings": {"values": {}},
    "putTemplateSettings": {"values": {}},
    "putConversationSettings": {"values": {}},
}
QUERIES = {
    "getUsage": {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"},
    "previewFilename": {"pattern": "{number}.mp4"},
}
REFUSED = {401, 403, 404}


class Scene:
    """A conversation with a recording and an interaction, which requests can be made about."""

    def __init__(self, served: Served, **names: str) -> None:
        self.served = served
        self.names = {"account": "default", "template": "tpl", **names}

    @property
    def conversation(self) -> str:
        return self.names["conversation"]

    async def call(self, operation: Operation, headers: dict[str, str], **names: str) -> ClientResponse:
        path = operation.path.format(**{**self.names, **names})
        body, query = BODIES.get(operation.id), QUERIES.get(operation.id)
        return await self.served.client.request(
            operation.method, path, headers=headers, json=body, params=query
        )

    async def allowed(self, operation: Operation, headers: dict[str, str], **names: str) -> bool:
        """Whether the caller is let in; what then comes of the call is another matter."""
        answer = await self.call(operation, headers, **names)
        assert answer.status < 500, await answer.text()
        return answer.status not in REFUSED

    async def participant(self, role: Role) -> tuple[str, dict[str, str]]:
        made = await self.served.fake.ports.conversations.add_participant(
            self.conversation, role=role, name="Somebody"
        )
        assert made.token is not None
        return made.id, bearer(made.token)

    async def key(self, *scopes: KeyScope, account: str | None = None) -> dict[str, str]:
        made = await self.served.fake.keys.create(
            Caller(), name="k", account=account, scopes=list(scopes), expires_at=None
        )
        return bearer(made.secret)


async def with_files(served: Served, scene: Scene) -> None:
    """A file, an upload, a snapshot that is asked for, and a background."""
    files = served.fake.files
    for name, length in (("file", 4), ("upload", 8)):
        made = await files.create(
            Caller(), scene.conversation, filename=name, content_type="text/plain", length=length
        )
        scene.names[name] = made.id
    await files.append(Caller(), scene.conversation, scene.names["file"], offset=0, chunks=chunks(b"some"))
    asked = await files.ask(
        Caller(), scene.conversation, subject=scene.names["participant"], source=PictureSource.CAMERA
    )
    scene.names["snapshot"] = asked.id
    added = await served.fake.backgrounds.add("default", None, name="office", chunks=chunks(b"picture"))
    scene.names["background"] = added.id


async def chunks(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
async def scene(served: Served) -> Scene:
    conversation = await served.conversation()
    made = await served.recording(conversation)
    served.fake.media[made["id"]].data += b"media"
    await served.fake.finish(made["id"])
    interaction = await served.client.post(
        f"/v1/conversations/{conversation}/interactions", headers=served.key, json={"kind": "CALL"}
    )
    scene = Scene(served, conversation=conversation, recording=made["id"])
    scene.names["interaction"] = (await interaction.json())["id"]
    scene.names["participant"] = (await scene.participant(Role.VISITOR))[0]
    key = await served.fake.keys.create(
        Caller(), name="other", account=None, scopes=[KeyScope.USAGE], expires_at=None
    )
    scene.names["key"] = key.id
    scene.names["webhook"] = "wh_none"
    await with_files(served, scene)
    return scene


def test_the_table_names_every_operation_and_no_other() -> None:
    documented = {"getOpenapi", "getDocs"}
    assert {operation.id for operation in API} | documented == set(ACCESS)


def test_every_bearer_operation_needs_a_scope() -> None:
    assert [
        name for name, access in ACCESS.items() if access.scheme is Scheme.BEARER and not access.scope
    ] == []


def test_the_table_says_of_roles_what_was_meant() -> None:
    for name, access in ACCESS.items():
        assert access.roles == (frozenset(Role) if name in SHOWING else ROLES.get(name, frozenset())), name
        assert access.if_visible == (name in SHOWING), name
        assert (access.scope is KeyScope.ADMIN) == (name in NEVER_WITHOUT_ADMIN), name


@pytest.mark.parametrize("operation", BEARER, ids=lambda one: one.id)
class TestEvery:
    async def test_the_servers_own_key_may(self, scene: Scene, operation: Operation) -> None:
        answer = await scene.call(operation, scene.served.key)
        assert answer.status < 500 and answer.status not in (401, 403)

    async def test_keys_by_scope(self, scene: Scene, operation: Operation) -> None:
        needed = operation.access.scope
        assert needed is not None
        for scope in KeyScope:
            answer = await scene.call(operation, await scene.key(scope))
            if scope in (KeyScope.ADMIN, needed, needed.replace(":read", ":write")):
                assert answer.status not in (401, 403), scope
            else:
                assert answer.status == 403, scope
                if operation.method != "HEAD":
                    await problem(answer, 403, "forbidden")

    async def test_participants_by_role(self, scene: Scene, operation: Operation) -> None:
        may = AGENTS if operation.id in SHOWING else ROLES.get(operation.id, frozenset())
        for role in Role:
            who, token = await scene.participant(role)
            assert await scene.allowed(operation, token, participant=who) == (role in may), role

    async def test_recordings_are_shown_to_whom_they_are_visible(
        self, scene: Scene, operation: Operation
    ) -> None:
        scene.served.fake.terms.terms = ConversationTerms(visible_to=frozenset({Role.VISITOR}))
        for role in Role:
            who, token = await scene.participant(role)
            may = {Role.VISITOR} if operation.id in SHOWING else ROLES.get(operation.id, frozenset())
            assert await scene.allowed(operation, token, participant=who) == (role in may), role

    async def test_nobody_reaches_into_another_conversation(self, scene: Scene, operation: Operation) -> None:
        elsewhere = await scene.served.conversation()
        answer = await scene.call(operation, await scene.served.token(elsewhere, Role.AGENT))
        assert answer.status == (404 if operation.access.roles else 403)

    async def test_nor_a_key_into_another_account(self, scene: Scene, operation: Operation) -> None:
        key = await scene.key(KeyScope.ADMIN, account="another")
        if {"conversation", "recording", "account"} & set(operation.path_parameters):
            answer = await scene.call(operation, key)
            assert answer.status == 404
        if operation.method == "GET" and not operation.path_parameters:
            answer = await scene.served.client.get(
                operation.path, headers=key, params={**QUERIES.get(operation.id, {}), "account": "default"}
            )
            if operation.access.whole_server:
                assert answer.status == 403
            else:
                assert answer.status in (400, 404)  # 400 where nothing is asked for by account

    async def test_without_a_good_token_nobody_may(self, scene: Scene, operation: Operation) -> None:
        useless = ({}, bearer("wrong"), {"Authorization": "Basic Zm9v"}, {"Authorization": "Bearer "})
        for headers in useless:
            answer = await scene.call(operation, headers)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            if operation.method != "HEAD":
                await problem(answer, 401, "unauthorized")


class TestSecrets:
    async def test_who_starts_a_recording_gets_its_entry_point(self, scene: Scene) -> None:
        _, token = await scene.participant(Role.AGENT)
        answer = await scene.served.client.post(
            f"/v1/conversations/{scene.conversation}/recordings", headers=token
        )
        made = await answer.json()
        assert made["entry_point"]["token"]
        for reader in (token, await scene.key(KeyScope.RECORDINGS_READ)):
            seen = await scene.served.client.get(f"/v1/recordings/{made['id']}", headers=reader)
            assert (await seen.json())["entry_point"] is None
            listed = await scene.served.client.get(
                f"/v1/conversations/{scene.conversation}/recordings", headers=reader
            )
            assert all(one["entry_point"] is None for one in (await listed.json())["items"])

    async def test_a_participants_token_is_told_once(self, scene: Scene) -> None:
        path = f"/v1/conversations/{scene.conversation}/participants"
        body = {"role": "AGENT", "name": "Ann"}
        made = await (await scene.served.client.post(path, headers=scene.served.key, json=body)).json()
        assert made["token"]
        listed = await (await scene.served.client.get(path, headers=scene.served.key)).json()
        assert {one["token"] for one in listed["items"]} == {None}

    async def test_a_keys_secret_is_told_once(self, scene: Scene) -> None:
        body = {"name": "desk", "scopes": ["conversations:read"]}
        client, own = scene.served.client, scene.served.key
        made = await (await client.post("/v1/keys", headers=own, json=body)).json()
        reads = [f"/v1/keys/{made['id']}", "/v1/keys"]
        told = [await (await client.get(path, headers=own)).text() for path in reads]
        assert made["secret"]
        assert not any(made["secret"] in text for text in told)

    async def test_a_key_of_one_account_makes_conversations_there(self, scene: Scene) -> None:
        key, client = await scene.key(KeyScope.CONVERSATIONS_WRITE, account="a"), scene.served.client
        made = await (await client.post("/v1/conversations", headers=key, json={})).json()
        assert made["account"] == "a"
        elsewhere = await client.post("/v1/conversations", headers=key, json={"account": "b"})
        await problem(elsewhere, 403, "forbidden")
        listed = await (await client.get("/v1/conversations", headers=key)).json()
        assert [one["id"] for one in listed["items"]] == [made["id"]]


def test_a_scope_includes_what_it_says() -> None:
    assert granted([KeyScope.ADMIN]) == set(KeyScope)
    assert granted([KeyScope.CONVERSATIONS_WRITE]) == {
        KeyScope.CONVERSATIONS_WRITE,
        KeyScope.CONVERSATIONS_READ,
    }
    assert granted([KeyScope.USAGE]) == {KeyScope.USAGE}
    assert granted([]) == set()


def test_a_key_has_no_secret_in_it() -> None:
    assert not {"secret", "key_hash", "previous_hash"} & {one.name for one in msgspec.structs.fields(ApiKey)}


class TestNobodyHandsOutMoreThanTheyHave:
    @pytest.mark.parametrize(
        ("role", "scopes", "status"),
        [
            (Role.VISITOR, [KeyScope.CONVERSATIONS_WRITE], 201),
            (Role.SUPERVISOR, [KeyScope.CONVERSATIONS_WRITE], 403),
            (Role.AGENT, [KeyScope.CONVERSATIONS_WRITE, KeyScope.RECORDINGS_READ], 403),
            (Role.AGENT, [KeyScope.CONVERSATIONS_WRITE, KeyScope.RECORDINGS_WRITE], 201),
            (Role.SUPERVISOR, [KeyScope.ADMIN], 201),
        ],
    )
    async def test_a_token_of_a_role(
        self, scene: Scene, role: Role, scopes: list[KeyScope], status: int
    ) -> None:
        key, client = await scene.key(*scopes), scene.served.client
        path, body = f"/v1/conversations/{scene.conversation}/participants", {"role": role, "name": "Eve"}
        assert (await client.post(path, headers=key, json=body)).status == status
        made = await scene.served.fake.ports.conversations.add_participant(
            scene.conversation, role=role, name="Ann"
        )
        renewed = await client.post(f"{path}/{made.id}/token", headers=key)
        assert renewed.status == (200 if status == 201 else 403)

    async def test_a_visitor_who_sees_recordings_needs_a_key_that_does(self, scene: Scene) -> None:
        scene.served.fake.terms.terms = ConversationTerms(visible_to=frozenset(Role))
        key, client = await scene.key(KeyScope.CONVERSATIONS_WRITE), scene.served.client
        path = f"/v1/conversations/{scene.conversation}/participants"
        body = {"role": Role.VISITOR, "name": "Eve"}
        assert (await client.post(path, headers=key, json=body)).status == 403

    async def test_the_servers_own_store_is_tested_by_no_tenant(self, scene: Scene) -> None:
        tenant = await scene.key(KeyScope.ADMIN, account="a")
        assert (await scene.served.client.post("/v1/storage/test", headers=tenant)).status == 403
        operator = await scene.key(KeyScope.ADMIN)
        assert (await scene.served.client.post("/v1/storage/test", headers=operator)).status == 200
