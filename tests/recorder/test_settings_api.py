"""The API of settings over HTTP, with a real database behind it."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from recorder.database import ConversationTable, Database
from recorder.database.settings import SettingsTable
from recorder.kernel.clock import SystemClock
from recorder.kernel.conversation import Role
from recorder.kernel.recording import RecordingType
from recorder.services.effective_settings import ScopedSettings, scoped_definitions
from recorder.services.settings import SettingsService
from recorder.settings.definitions import RecordingSettings, Settings
from tests.support.fake_ports import FakeServer
from tests.support.http import Served, problem, serve


@pytest.fixture
async def served(database: Database) -> AsyncIterator[Served]:
    fake = FakeServer()
    scoped = ScopedSettings(
        Settings(recording=RecordingSettings(type=RecordingType.AUDIO, locked=("consent",))),
        SettingsTable(database),
        SystemClock(),
    )
    owned = SettingsService(scoped, fake.ports.conversations)  # type: ignore[arg-type]
    fake.ports = dataclasses.replace(fake.ports, settings=owned)
    async with serve(fake) as one:
        yield one


async def put(served: Served, path: str, values: Any, **headers: str) -> Any:
    return await served.client.put(path, json={"values": values}, headers={**served.key, **headers})


async def get(served: Served, path: str) -> Any:
    answer = await served.client.get(path, headers=served.key)
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def test_what_counts_is_told_with_the_scope_that_it_comes_from(
    served: Served, database: Database
) -> None:
    made = await served.fake.ports.conversations.create(
        account="acme", template="advice", external_id=None, metadata={}
    )
    await ConversationTable(database).add(made)
    conversation = f"/v1/conversations/{made.id}/settings"
    for path, values in (
        ("/v1/accounts/acme/settings", {"recording.banner": False, "recording.max_retries": 5}),
        ("/v1/templates/advice/settings?account=acme", {"recording.max_retries": 6}),
        ("/v1/templates/advice/settings", {"recording.max_retries": 7}),  # of the default account
        (conversation, {"recording.visible_to": ["VISITOR"]}),
    ):
        assert (await put(served, path, values)).status == 200
    said = await get(served, conversation + "?effective=true")
    assert said["values"] == {"recording.visible_to": ["VISITOR"]}
    effective = said["effective"]
    assert set(effective) == set(scoped_definitions())
    assert effective["recording.visible_to"] == {"value": ["VISITOR"], "scope": "conversation"}
    assert effective["recording.max_retries"] == {"value": 6, "scope": "template"}
    assert effective["recording.banner"] == {"value": False, "scope": "account"}
    assert effective["recording.type"] == {"value": "AUDIO", "scope": "server"}
    assert effective["recording.start_mode"] == {"value": "SYNCHRONOUS", "scope": "default"}
    of_default = await get(served, "/v1/templates/advice/settings?effective=true")
    assert of_default["effective"]["recording.max_retries"] == {"value": 7, "scope": "template"}
    assert (await get(served, conversation))["effective"] is None


async def test_a_change_is_refused_when_somebody_else_was_first(served: Served) -> None:
    path = "/v1/accounts/acme/settings"
    read = await served.client.get(path, headers=served.key)
    tag = read.headers["ETag"]
    first = await put(served, path, {"recording.banner": False}, **{"If-Match": tag})
    assert (first.status, first.headers["ETag"]) == (200, '"1"')
    for stale in (tag, '"9"', 'W/"1"', "1", '"1", "2"'):
        refused = await put(served, path, {}, **{"If-Match": stale})
        await problem(refused, 412, "settings_changed")
    for fresh in ('"1"', "*"):
        assert (await put(served, path, {}, **{"If-Match": fresh})).status == 200


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"recording.nothing": 1}, "unknown_setting"),
        ({"recording.banner": "yes"}, "invalid_setting"),
        ({"recording.width": 640}, "setting_immutable"),
        ({"recording.consent": "none"}, "setting_locked"),
    ],
)
async def test_a_refusal_names_the_key_and_the_reason(
    served: Served, values: dict[str, Any], code: str
) -> None:
    said = await problem(await put(served, "/v1/accounts/acme/settings", values), 422, code)
    (key,) = values
    assert said["field"] == f"$.values.{key}"
    assert said["detail"].startswith(f"{key}: ")
    assert (await get(served, "/v1/accounts/acme/settings"))["version"] == 0


async def test_what_is_not_allowed_in_a_conversation(served: Served) -> None:
    path = f"/v1/conversations/{await served.conversation()}/settings"
    said = await problem(await put(served, path, {"recording.enabled": False}), 422, "setting_not_allowed")
    assert "account, template" in said["detail"]


@pytest.mark.parametrize("body", ["[]", "{}", '{"values": []}', '{"values": {}, "x": 1}', "{"])
async def test_another_body_is_refused(served: Served, body: str) -> None:
    headers = {**served.key, "Content-Type": "application/json"}
    answer = await served.client.put("/v1/accounts/acme/settings", data=body, headers=headers)
    await problem(answer, 400 if body == "{" else 422)


async def test_a_conversation_has_to_be_there(served: Served) -> None:
    for answer in (
        await served.client.get("/v1/conversations/conv_x/settings", headers=served.key),
        await put(served, "/v1/conversations/conv_x/settings", {}),
    ):
        await problem(answer, 404, "not_found")


async def test_participants_say_nothing(served: Served) -> None:
    conversation = await served.conversation()
    token = await served.token(conversation, Role.AGENT)
    answer = await served.client.get(f"/v1/conversations/{conversation}/settings", headers=token)
    await problem(answer, 403, "forbidden")
