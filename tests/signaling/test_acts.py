"""What callers did, as it is handed to the audit log: by every operation, once, and without a secret."""

from typing import Any

import pytest

from recorder.kernel.audit.act import Act, ActorKind, Outcome
from recorder.kernel.conversation import Role
from recorder.kernel.permissions import KeyScope
from signaling.app import API
from signaling.ports import Caller
from signaling.routes.access import Scheme
from signaling.routes.facts import UNNOTED
from signaling.routes.operation import Operation
from tests.support.fake_ports import API_KEY
from tests.support.http import OFFER, Served, bearer, local, problem

NOTED = [operation for operation in API if operation.id not in UNNOTED]


def acts(served: Served, action: str) -> list[Act]:
    return [act for act in served.fake.audit.acts if act.action == action]


def the(served: Served, action: str) -> Act:
    (found,) = acts(served, action)
    return found


def test_what_is_not_noted_is_known() -> None:
    assert {operation.id for operation in API} | {"getOpenapi", "getDocs"} >= UNNOTED


@pytest.mark.parametrize("operation", NOTED, ids=lambda one: one.id)
async def test_every_refusal_is_an_act(served: Served, operation: Operation) -> None:
    path = operation.path.format(**dict.fromkeys(operation.path_parameters, "none"))
    answer = await served.client.request(operation.method, path, headers=bearer("wrong"), json={})
    act = the(served, operation.id)
    if operation.access.scheme is Scheme.PUBLIC:
        return
    assert (act.outcome, act.status) == (Outcome.REFUSED, answer.status)
    assert act.actor.kind in (ActorKind.NOBODY, ActorKind.ENTRY_POINT)
    assert act.actor.address == "127.0.0.1"
    assert act.request == answer.headers["X-Request-Id"]


class TestWho:
    async def test_a_participant_has_a_name_and_a_role(self, served: Served) -> None:
        conversation = await served.conversation()
        token = await served.token(conversation, Role.VISITOR)
        await served.client.get(f"/v1/conversations/{conversation}", headers=token)
        act = the(served, "getConversation")
        assert (act.actor.kind, act.actor.role, act.actor.name) == ("participant", "VISITOR", "Somebody")
        assert (act.conversation, act.outcome, act.code) == (conversation, Outcome.DONE, None)

    async def test_a_key_has_its_id_its_name_and_its_account(self, served: Served) -> None:
        key = await served.fake.keys.create(
            Caller(), name="desk", account="north", scopes=[KeyScope.CONVERSATIONS_READ], expires_at=None
        )
        await served.client.get("/v1/conversations", headers=bearer(key.secret))
        actor = the(served, "listConversations").actor
        assert (actor.kind, actor.id, actor.name, actor.account) == ("key", key.id, "desk", "north")

    async def test_who_signs_in_is_who_signed_in(self, served: Served) -> None:
        await served.client.post("/console/session", json={"key": API_KEY})
        act = the(served, "signIn")
        assert (act.actor.kind, act.actor.id, act.outcome) == ("key", "server", Outcome.DONE)
        await served.client.post("/console/session", json={"key": "wrong"})
        refused = acts(served, "signIn")[-1]
        assert (refused.actor.kind, refused.outcome, refused.code) == ("nobody", "refused", "unauthorized")

    async def test_who_has_a_link_is_whoever_has_the_link(self, served: Served) -> None:
        recording = await served.recording()
        served.fake.media[recording["id"]].data += b"media"
        await served.client.get(local(recording["links"]["media"]))
        act = the(served, "getRecordingMedia")
        assert (act.actor.kind, act.recording) == ("link", recording["id"])


class TestWhat:
    async def test_playing_is_not_downloading(self, served: Served) -> None:
        recording = await served.recording()
        served.fake.media[recording["id"]].data += b"media"
        path = f"/v1/recordings/{recording['id']}/media"
        await served.client.get(path, headers=served.key)
        await served.client.get(path, headers=served.key, params={"download": "true"})
        uses = [act.details["use"] for act in acts(served, "getRecordingMedia")]
        assert uses == ["playback", "download"]

    async def test_links_that_are_handed_out_are_told(self, served: Served) -> None:
        recording = await served.recording()
        await served.client.get(f"/v1/recordings/{recording['id']}", headers=served.key)
        assert "links_until" in the(served, "getRecording").details

    async def test_what_was_made_is_named(self, served: Served) -> None:
        recording = await served.recording()
        started = the(served, "startRecording")
        assert (started.recording, started.conversation) == (recording["id"], recording["conversation"])
        made = await served.client.post(
            "/v1/keys", headers=served.key, json={"name": "desk", "scopes": ["usage"]}
        )
        key = await made.json()
        act = the(served, "createKey")
        assert (act.target, act.details["scopes"]) == (key["id"], "usage")

    async def test_settings_are_told_with_their_values(self, served: Served) -> None:
        values = {"recording.banner": False}
        await served.client.put("/v1/accounts/north/settings", headers=served.key, json={"values": values})
        act = the(served, "putAccountSettings")
        assert (act.target, act.details) == ("north", {"recording.banner": "False"})

    async def test_a_webhook_is_told_without_what_follows_its_path(self, served: Served) -> None:
        body = {"url": "https://example.org/hook?key=hidden"}
        await served.client.post("/v1/webhooks", headers=served.key, json=body)
        assert the(served, "createWebhook").details["url"] == "https://example.org/hook"

    async def test_a_publisher_is_named_and_the_entry_point_is_not(self, served: Served) -> None:
        path, token = await served.entry_point()
        headers = {**token, "Content-Type": "application/sdp"}
        await served.client.post(path, headers=headers, data=OFFER, params={"participant": "p1"})
        act = the(served, "publish")
        assert (act.actor.kind, act.target, act.details["source"]) == ("entry_point", "p1", "camera")

    async def test_nothing_secret_is_in_any_act(self, served: Served) -> None:
        path, token = await served.entry_point()
        made = await served.client.post(
            "/v1/keys", headers=served.key, json={"name": "desk", "scopes": ["usage"]}
        )
        await served.client.get(path, headers=token)
        await served.client.post(path, headers=token, data=OFFER)
        text = repr(served.fake.audit.acts)
        secrets = [
            API_KEY,
            path.rpartition("/")[2],
            token["Authorization"][7:],
            (await made.json())["secret"],
        ]
        assert [secret for secret in secrets if secret in text] == []


class TestHowOften:
    async def test_what_is_read_may_be_counted_and_what_is_changed_stands_alone(self, served: Served) -> None:
        await served.client.get("/v1/conversations", headers=served.key)
        await served.client.post("/v1/conversations", headers=served.key, json={})
        await served.client.post("/v1/conversations", headers=served.key, json={"account": 5})
        audit = served.fake.audit
        noted = dict(zip([(act.action, act.outcome) for act in audit.acts], audit.countable, strict=True))
        assert noted == {
            ("listConversations", "done"): True,
            ("createConversation", "done"): False,
            ("createConversation", "failed"): True,
        }

    async def test_reads_need_not_be_noted_and_refused_ones_are(self, served: Served) -> None:
        served.fake.audit.notes_reads = False
        await served.client.get("/v1/conversations", headers=served.key)
        await served.client.get("/v1/conversations", headers=bearer("wrong"))
        assert [act.outcome for act in served.fake.audit.acts] == ["refused"]


class TestALogThatFails:
    async def test_refuses_acts_and_readiness_is_still_told(self, served: Served) -> None:
        conversation = await served.conversation()
        served.fake.audit.fails = True
        answer = await served.client.get(f"/v1/conversations/{conversation}", headers=served.key)
        await problem(answer, 503, "audit_unavailable")
        await problem(
            await served.client.post("/console/session", json={"key": API_KEY}), 503, "audit_unavailable"
        )
        assert (await served.client.get("/healthz")).status == 200

    async def test_lets_publishers_of_a_recording_go_on(self, served: Served) -> None:
        path, token = await served.entry_point()
        served.fake.audit.fails = True
        headers = {**token, "Content-Type": "application/sdp"}
        assert (await served.client.post(path, headers=headers, data=OFFER)).status == 201


class TestExport:
    async def test_is_lines_after_a_sequence(self, served: Served) -> None:
        served.fake.audit.exported = ['{"sequence":1}', '{"sequence":2}']
        answer = await served.client.get("/v1/audit", headers=served.key, params={"after": "1"})
        assert (answer.status, await answer.text()) == (200, '{"sequence":2}\n')
        head: dict[str, Any] = await (await served.client.get("/v1/audit/head", headers=served.key)).json()
        assert head["sequence"] == 2

    async def test_is_for_its_own_scope_and_no_account(self, served: Served) -> None:
        for scopes, account, status in (([KeyScope.AUDIT], None, 200), ([KeyScope.AUDIT], "north", 403)):
            key = await served.fake.keys.create(
                Caller(), name="auditor", account=account, scopes=scopes, expires_at=None
            )
            assert (await served.client.get("/v1/audit", headers=bearer(key.secret))).status == status
