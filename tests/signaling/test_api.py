"""The REST surface: what goes in, what comes out, and what is refused at the edge."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.kernel.limits import JSON_BODY_BYTES_MAX, METADATA_ENTRIES_MAX, TEXT_CHARS_MAX
from recorder.kernel.recording import RecordingState
from signaling.http.pages import PAGE_ITEMS_MAX
from tests.support.fake_ports import overloaded
from tests.support.http import Served, local, problem, serve

JSON = {"Content-Type": "application/json"}
CONVERSATIONS = "/v1/conversations"


async def post(served: Served, path: str, body: Any) -> Any:
    return await served.client.post(path, headers=served.key, json=body)


class TestConversations:
    async def test_created_read_ended_and_deleted(self, served: Served) -> None:
        body = {"template": "desk", "external_id": "42", "metadata": {"branch": "Bern"}}
        answer = await post(served, CONVERSATIONS, body)
        made = await answer.json()
        assert answer.status == 201
        assert answer.headers["Location"] == f"{CONVERSATIONS}/{made['id']}"
        assert made["created_at"] == "2026-01-01T00:00:00Z"
        path = answer.headers["Location"]
        assert await (await served.client.get(path, headers=served.key)).json() == made
        ended = await (await post(served, path + "/end", {})).json()
        assert ended == made | {"ended_at": "2026-01-01T00:00:00Z"}
        assert (await served.client.delete(path, headers=served.key)).status == 204
        await problem(await served.client.get(path, headers=served.key), 404, "not_found")

    async def test_an_empty_body_will_do(self, served: Served) -> None:
        assert (await served.client.post(CONVERSATIONS, headers=served.key)).status == 201

    async def test_interactions(self, served: Served) -> None:
        path = f"{CONVERSATIONS}/{await served.conversation()}/interactions"
        layer = {"kind": "COLLABORATION_LAYER", "layer": "screen_share"}
        answer = await post(served, path, layer)
        made = await answer.json()
        assert (answer.status, made["layer"], made["ended_at"]) == (201, "screen_share", None)
        ended = await served.client.delete(answer.headers["Location"], headers=served.key)
        assert (await ended.json())["ended_at"] is not None
        for wrong in ({"kind": "COLLABORATION_LAYER"}, {"kind": "CALL", "layer": "document"}):
            await problem(await post(served, path, wrong), 422, "invalid_layer")

    async def test_an_interaction_tells_how_its_connector_does_and_never_its_secrets(
        self, served: Served
    ) -> None:
        path = f"{CONVERSATIONS}/{await served.conversation()}/interactions"
        source = {"kind": "janus", "url": "wss://janus.example.org", "room": 1, "pin": "a secret"}
        answer = await post(served, path, {"connector": source})
        made = await answer.json()
        assert (made["kind"], made["connector"]["state"]) == ("CALL", "WAITING")
        one = answer.headers["Location"]
        assert await (await served.client.get(one, headers=served.key)).json() == made
        assert "a secret" not in str(made)
        await served.client.delete(one, headers=served.key)
        assert (await (await served.client.get(one, headers=served.key)).json())["connector"] is None
        for wrong in ({**source, "kind": "zoom"}, {**source, "room": -1}, {"kind": "janus", "room": 1}):
            await problem(await post(served, path, {"connector": wrong}), 422, "invalid_body")

    async def test_pages(self, served: Served) -> None:
        made = sorted([await served.conversation() for _ in range(5)])
        seen, after = [], ""
        while True:
            answer = await served.client.get(f"{CONVERSATIONS}?limit=2{after}", headers=served.key)
            page = await answer.json()
            seen += [one["id"] for one in page["items"]]
            assert len(page["items"]) <= 2
            if page["next_after"] is None:
                break
            after = "&after=" + page["next_after"]
        assert seen == made

    @pytest.mark.parametrize("kind", ["participants", "recordings"])
    async def test_lists_of_a_conversation_have_pages_too(self, served: Served, kind: str) -> None:
        conversation = await served.conversation()
        path = f"{CONVERSATIONS}/{conversation}/{kind}"
        for _ in range(3):
            await post(served, path, {"role": "VISITOR", "name": "Ann"} if kind == "participants" else {})
        first = await (await served.client.get(path + "?limit=2", headers=served.key)).json()
        rest = await (
            await served.client.get(f"{path}?limit=2&after={first['next_after']}", headers=served.key)
        ).json()
        assert (len(first["items"]), len(rest["items"]), rest["next_after"]) == (2, 1, None)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("limit=0", "query.limit"),
            (f"limit={PAGE_ITEMS_MAX + 1}", "query.limit"),
            ("limit=many", "query.limit"),
            ("after=%00", "query.after"),
            ("before=x", "query"),
            ("limit=1&limit=2", "query.limit"),
        ],
    )
    async def test_a_wrong_query_names_the_parameter(self, served: Served, query: str, field: str) -> None:
        answer = await served.client.get(f"{CONVERSATIONS}?{query}", headers=served.key)
        assert (await problem(answer, 400, "invalid_query"))["field"] == field

    async def test_the_largest_page_is_allowed(self, served: Served) -> None:
        answer = await served.client.get(f"{CONVERSATIONS}?limit={PAGE_ITEMS_MAX}", headers=served.key)
        assert answer.status == 200


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"metadata": {"a": 1}}, "$.metadata[...]"),
            ({"metadata": {"": "x"}}, "$.metadata"),
            ({"metadata": {str(n): "" for n in range(METADATA_ENTRIES_MAX + 1)}}, "$.metadata"),
            ({"external_id": "x" * (TEXT_CHARS_MAX + 1)}, "$.external_id"),
            ({"external_id": "a\nb"}, "$.external_id"),
            ({"external_id": "a\n"}, "$.external_id"),
            ({"external_id": "\0"}, "$.external_id"),
            ({"unknown": 1}, "$"),
            ([], "$"),
        ],
    )
    async def test_what_is_wrong_is_named(self, served: Served, body: Any, field: str) -> None:
        assert (await problem(await post(served, CONVERSATIONS, body), 422, "invalid_body"))["field"] == field

    async def test_everything_at_its_largest_is_taken(self, served: Served) -> None:
        metadata = {str(n): "ä" * TEXT_CHARS_MAX for n in range(METADATA_ENTRIES_MAX)}
        body = {"external_id": "x" * TEXT_CHARS_MAX, "metadata": metadata}
        answer = await served.client.post(CONVERSATIONS, headers=served.key | JSON, data=_json(body).encode())
        assert answer.status == 201

    @pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 50_000, b"nul", b'"\\ud800"', b"{}{}"])
    async def test_what_is_no_json(self, served: Served, body: bytes) -> None:
        answer = await served.client.post(CONVERSATIONS, headers=served.key | JSON, data=body)
        said = await problem(answer, answer.status)
        assert (answer.status, said["code"]) in {(400, "invalid_json"), (422, "invalid_body")}

    async def test_bounds_and_types(self, served: Served) -> None:
        blanks = b" " * JSON_BODY_BYTES_MAX
        await problem(
            await served.client.post(CONVERSATIONS, headers=served.key | JSON, data=blanks),
            400,
            "invalid_json",
        )
        await problem(
            await served.client.post(CONVERSATIONS, headers=served.key | JSON, data=blanks + b" "), 413
        )
        await problem(await served.client.post(CONVERSATIONS, headers=served.key, data={"a": "b"}), 415)

    async def test_a_decompression_bomb_is_bounded(self, served: Served) -> None:
        bomb = zlib.compress(bytes(10_000_000))
        headers = served.key | JSON | {"Content-Encoding": "deflate"}
        await problem(await served.client.post(CONVERSATIONS, headers=headers, data=bomb), 413)
        await problem(await served.client.post(CONVERSATIONS, headers=headers, data=b"not deflate"), 400)

    @given(
        body=st.recursive(
            st.none()
            | st.booleans()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["template", "external_id", "metadata", "role", "name", "kind", "layer"]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=8,
        ),
        place=st.sampled_from(["", "/participants", "/interactions"]),
    )
    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_any_json_is_taken_or_refused(self, served: Served, body: Any, place: str) -> None:
        path = CONVERSATIONS + (f"/{await served.conversation()}{place}" if place else "")
        answer = await served.client.post(path, headers=served.key | JSON, data=_json(body).encode())
        if answer.status != 201:
            said = await problem(answer, 422)
            assert said["code"] in ("invalid_body", "invalid_layer")


class TestRecordings:
    async def test_a_started_recording_says_all_that_it_should(self, served: Served) -> None:
        made = await served.recording()
        assert set(made) >= {
            *("id", "state", "type", "end_reason", "entry_point", "started_at", "ended_at"),
            *("duration_s", "bytes", "missing_s", "filename", "links"),
        }
        assert set(made["entry_point"]) == {"url", "token", "ice_servers", "expires_at"}
        base = str(served.client.make_url("/")).rstrip("/")
        assert made["links"]["self"] == f"{base}/v1/recordings/{made['id']}"
        assert set(made["links"]) == {"self", "media", "hls", "events", "watch"}

    async def test_links_begin_with_the_public_url(self) -> None:
        async with serve(public_url="https://rec.example.net/") as served:
            made = await served.recording()
            assert all(link.startswith("https://rec.example.net/") for link in made["links"].values())
            assert "//v1" not in made["links"]["self"]

    async def test_stopped_twice_is_stopped(self, served: Served) -> None:
        path = f"/v1/recordings/{(await served.recording())['id']}"
        for _ in range(2):
            answer = await post(served, path + "/stop", {})
            assert (answer.status, (await answer.json())["state"]) == (200, "FINALIZING")

    async def test_paused_and_resumed(self, served: Served) -> None:
        made = await served.recording()
        path = f"/v1/recordings/{made['id']}"
        await problem(await post(served, path + "/pause", {}), 409, "illegal_move")
        await served.fake.change(made["id"], state=RecordingState.RECORDING)
        assert (await (await post(served, path + "/pause", {})).json())["state"] == "PAUSED"
        assert (await (await post(served, path + "/resume", {})).json())["state"] == "RECORDING"

    async def test_refusals_of_the_ports_are_passed_on(self, served: Served) -> None:
        conversation = await served.conversation()
        served.fake.fail("recordings.start", overloaded())
        answer = await post(served, f"{CONVERSATIONS}/{conversation}/recordings", {})
        await problem(answer, 503, "overloaded")
        assert "Retry-After" in answer.headers
        await problem(await post(served, f"{CONVERSATIONS}/conv_none/recordings", {}), 404)


class TestSignedLinks:
    async def test_they_open_what_they_are_for_without_a_token(self, served: Served) -> None:
        made = await served.recording()
        served.fake.media[made["id"]].data += b"media"
        await served.fake.finish(made["id"])
        links = (await (await served.client.get(local(made["links"]["self"]), headers=served.key)).json())[
            "links"
        ]
        media = await served.client.get(local(links["media"]), headers={"Range": "bytes=0-1"})
        assert (media.status, await media.read()) == (206, b"me")
        assert (await served.client.head(local(links["media"]))).status == 200
        page = await served.client.get(local(links["watch"]))
        assert (page.status, page.content_type) == (200, "text/html")
        await problem(await served.client.get(local(links["self"])), 401)

    async def test_they_open_nothing_else_and_not_for_ever(self, served: Served) -> None:
        made = await served.recording()
        links = made["links"]
        signature = links["media"].partition("?")[2]
        path = f"/v1/recordings/{made['id']}"
        await problem(await served.client.get(f"{path}/events?{signature}"), 403, "link_invalid")
        await problem(await served.client.get(f"{path}?{signature}"), 401)
        await problem(await served.client.get(f"{path}/media?signature=x"), 403, "link_invalid")
        served.fake.clock.advance(24 * 3600)  # type: ignore[attr-defined]
        await problem(await served.client.get(local(links["media"])), 403, "link_expired")
        with_token = await served.client.get(local(links["media"]), headers=served.key)
        assert with_token.status == 200  # a token counts for itself

    async def test_the_watch_page_escapes_and_passes_on_no_longer_than_its_own_link(
        self, served: Served
    ) -> None:
        made = await served.recording()
        await served.fake.change(made["id"], filename="<b>&.mp4")
        await served.fake.finish(made["id"])
        served.fake.clock.advance(3600)  # type: ignore[attr-defined]
        answer = await served.client.get(local(made["links"]["watch"]))
        html = await answer.text()
        assert "&lt;b&gt;&amp;.mp4" in html
        assert "<b>" not in html
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        expires = made["links"]["watch"].partition("expires=")[2].partition("&")[0]
        assert f"/media?expires={expires}&amp;signature=" in html


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1969-01-01T00:00:00Z"]
)
async def test_times_that_no_calendar_can_turn_into_utc_are_the_callers_fault(
    served: Served, moment: str
) -> None:
    async def refused(path: str, **query: str) -> None:
        answer = await served.client.get(path, params=query, headers=served.key)
        said = await problem(answer, 400, "invalid_query")
        assert said["field"].startswith("query.")

    await refused("/v1/conversations", created_from=moment)
    await refused("/v1/recordings", requested_until=moment)
    await refused("/v1/usage", since=moment, until="2026-01-01T00:00:00Z")
    body = {"name": "k", "scopes": ["usage"], "expires_at": moment}
    said = await problem(
        await served.client.post("/v1/keys", json=body, headers=served.key), 422, "invalid_body"
    )
    assert said["field"] == "$.expires_at"
