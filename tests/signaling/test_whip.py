"""The WHIP endpoint and session against RFC 9725, sentence by sentence where it says MUST."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.kernel.conversation import Role
from recorder.kernel.limits import SDP_BYTES_MAX, SDP_FRAGMENT_BYTES_MAX
from recorder.kernel.media import SourceKind
from tests.support.fake_ports import ANSWER_SDP, RESTART_FRAGMENT, overloaded
from tests.support.http import OFFER, Served, bearer, problem, serve

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATES = (
    "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1 1 udp 1 192.0.2.1 6 typ host\r\n"
)


async def published(served: Served, query: str = "") -> tuple[str, dict[str, str], Any]:
    path, token = await served.entry_point()
    answer = await served.client.post(path + query, data=OFFER, headers=SDP | token)
    assert answer.status == 201, await answer.text()
    return answer.headers["Location"], token, answer


class TestPublishing:
    async def test_an_offer_is_answered_with_a_session(self, served: Served) -> None:
        location, _, answer = await published(served)
        assert await answer.text() == ANSWER_SDP
        assert answer.content_type == "application/sdp"
        ((secret, session), made) = next(iter(served.fake.sessions.items()))
        assert location == f"/whip/{secret}/{session}"
        assert answer.headers["ETag"] == f'"{made.etag}"'
        assert made.offer == OFFER

    async def test_ice_servers_are_told_as_links(self, served: Served) -> None:
        _, _, answer = await published(served)
        stun, turn = answer.headers.getall("Link")
        assert stun == '<stun:stun.example.net>; rel="ice-server"'
        assert turn == (
            '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="1893456000:rec"; '
            'credential="c2VjcmV0"; credential-type="password"'
        )

    async def test_the_location_is_absolute_under_a_public_url(self) -> None:
        async with serve(public_url="https://rec.example.net/base/") as served:
            location, _, _ = await published(served)
            assert location.startswith("https://rec.example.net/base/whip/")

    async def test_the_query_says_who_publishes_what(self, served: Served) -> None:
        await published(served, "?participant=p1&name=Ann%20B&role=agent&source=SCREEN_SHARE&other=1")
        (session,) = served.fake.sessions.values()
        publisher = session.publisher
        assert (publisher.participant, publisher.name) == ("p1", "Ann B")
        assert (publisher.role, publisher.source) == (Role.AGENT, SourceKind.SCREEN_SHARE)

    async def test_an_encoder_without_a_query_is_a_guest(self, served: Served) -> None:
        await published(served)
        (session,) = served.fake.sessions.values()
        assert session.publisher.participant.startswith("part_")
        assert (session.publisher.name, session.publisher.role) == ("Guest", Role.VISITOR)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("role=king", "query.role"),
            ("source=tv", "query.source"),
            ("name=" + "x" * 257, "query.name"),
            ("participant=a%0Ab", "query.participant"),
        ],
    )
    async def test_a_wrong_query_names_the_parameter(self, served: Served, query: str, field: str) -> None:
        path, token = await served.entry_point()
        answer = await served.client.post(f"{path}?{query}", data=OFFER, headers=SDP | token)
        assert (await problem(answer, 400, "invalid_query"))["field"] == field


class TestRefusals:
    async def test_no_token_is_401_and_says_how(self, served: Served) -> None:
        path, _ = await served.entry_point()
        answer = await served.client.post(path, data=OFFER, headers=SDP)
        await problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")

    async def test_a_wrong_token_is_401(self, served: Served) -> None:
        path, _ = await served.entry_point()
        await problem(await served.client.post(path, data=OFFER, headers=SDP | bearer("x")), 401)

    async def test_an_unknown_entry_point_is_404(self, served: Served) -> None:
        answer = await served.client.post("/whip/unknown", data=OFFER, headers=SDP | bearer("x"))
        await problem(answer, 404, "not_found")

    async def test_who_does_not_take_sdp_gets_406(self, served: Served) -> None:
        path, token = await served.entry_point()
        headers = SDP | token | {"Accept": "text/html, application/sdp;q=0"}
        await problem(await served.client.post(path, data=OFFER, headers=headers), 406, "not_acceptable")

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/sdpx"])
    async def test_another_media_type_is_415(self, served: Served, content_type: str) -> None:
        path, token = await served.entry_point()
        answer = await served.client.post(path, data=OFFER, headers=token | {"Content-Type": content_type})
        await problem(answer, 415, "unsupported_media_type")

    async def test_parameters_of_the_media_type_do_not_count(self, served: Served) -> None:
        path, token = await served.entry_point()
        headers = token | {"Content-Type": "Application/SDP; charset=utf-8"}
        assert (await served.client.post(path, data=OFFER, headers=headers)).status == 201

    async def test_the_largest_offer_is_taken_and_one_byte_more_is_not(self, served: Served) -> None:
        path, token = await served.entry_point()
        largest = OFFER + "a" * (SDP_BYTES_MAX - len(OFFER))
        assert (await served.client.post(path, data=largest, headers=SDP | token)).status == 201
        answer = await served.client.post(path, data=largest + "a", headers=SDP | token)
        await problem(answer, 413, "body_too_large")

    async def test_a_chunked_body_is_bounded_too(self, served: Served) -> None:
        async def endless() -> Any:
            for _ in range(SDP_BYTES_MAX // 1000 + 2):
                yield b"v=0" + b"a" * 997

        path, token = await served.entry_point()
        answer = await served.client.post(path, data=endless(), headers=SDP | token)
        await problem(answer, 413, "body_too_large")

    async def test_what_the_media_side_refuses_is_passed_on(self, served: Served) -> None:
        path, token = await served.entry_point()
        answer = await served.client.post(path, data="v=0\r\n", headers=SDP | token)
        await problem(answer, 422, "no_media_sent")

    async def test_an_overloaded_server_says_when_to_come_again(self, served: Served) -> None:
        path, token = await served.entry_point()
        served.fake.fail("entry_points.publish", overloaded())
        answer = await served.client.post(path, data=OFFER, headers=SDP | token)
        await problem(answer, 503, "overloaded")
        assert int(answer.headers["Retry-After"]) > 0

    async def test_a_second_offer_on_one_session_is_409(self, served: Served) -> None:
        location, token, _ = await published(served)
        answer = await served.client.post(location, data=OFFER, headers=SDP | token)
        await problem(answer, 409, "offer_repeated")

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_the_endpoint_knows_no_other_method(self, served: Served, method: str) -> None:
        path, token = await served.entry_point()
        answer = await served.client.request(method, path, headers=token)
        await problem(answer, 405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) == {"POST", "GET", "HEAD", "OPTIONS"}

    async def test_the_session_knows_no_put(self, served: Served) -> None:
        location, token, _ = await published(served)
        answer = await served.client.put(location, headers=token)
        await problem(answer, 405, "method_not_allowed")
        assert {"PATCH", "DELETE"} <= set(answer.headers["Allow"].split(","))

    async def test_get_is_answered_with_nothing(self, served: Served) -> None:
        location, token, _ = await published(served)
        for path in (location, location.rpartition("/")[0]):
            assert (await served.client.get(path, headers=token)).status == 204
            assert (await served.client.head(path, headers=token)).status == 204
            await problem(await served.client.get(path), 401)


class TestTrickle:
    async def test_candidates_are_taken_silently(self, served: Served) -> None:
        location, token, answer = await published(served)
        headers = FRAGMENT | token | {"If-Match": answer.headers["ETag"]}
        patched = await served.client.patch(location, data=CANDIDATES, headers=headers)
        assert (patched.status, await patched.read()) == (204, b"")
        assert "ETag" not in patched.headers
        (session,) = served.fake.sessions.values()
        assert session.fragments == [CANDIDATES]

    @pytest.mark.parametrize("star", ["*", '"*"'])  # the RFC's example puts it between quotes
    async def test_an_ice_restart_gives_new_parameters_and_tag(self, served: Served, star: str) -> None:
        location, token, answer = await published(served)
        old = answer.headers["ETag"]
        restarted = await served.client.patch(
            location, data=CANDIDATES, headers=FRAGMENT | token | {"If-Match": star}
        )
        assert restarted.status == 200
        assert restarted.content_type == "application/trickle-ice-sdpfrag"
        assert await restarted.text() == RESTART_FRAGMENT
        assert restarted.headers["ETag"] != old
        late = await served.client.patch(
            location, data=CANDIDATES, headers=FRAGMENT | token | {"If-Match": old}
        )
        await problem(late, 412, "stale_ice_session")

    @pytest.mark.parametrize(
        ("if_match", "status", "code"),
        [
            (None, 428, "if_match_required"),
            ('"another"', 412, "stale_ice_session"),
            ('W/"weak"', 412, "stale_ice_session"),
            ("unquoted", 400, "invalid_if_match"),
            ('"a", "b"', 400, "invalid_if_match"),
        ],
    )
    async def test_if_match_decides(
        self, served: Served, if_match: str | None, status: int, code: str
    ) -> None:
        location, token, _ = await published(served)
        headers = FRAGMENT | token | ({} if if_match is None else {"If-Match": if_match})
        await problem(await served.client.patch(location, data=CANDIDATES, headers=headers), status, code)

    async def test_refusals(self, served: Served) -> None:
        location, token, _ = await published(served)
        patch, star = served.client.patch, {"If-Match": "*"}
        await problem(await patch(location, data=CANDIDATES, headers=FRAGMENT | star), 401)
        await problem(await patch(location, data=CANDIDATES, headers=SDP | token | star), 415)
        await problem(
            await patch(location, data="hello", headers=FRAGMENT | token | star), 400, "malformed_sdp"
        )
        huge = CANDIDATES + "a" * SDP_FRAGMENT_BYTES_MAX
        await problem(await patch(location, data=huge, headers=FRAGMENT | token | star), 413)
        unknown = location + "x"
        await problem(await patch(unknown, data=CANDIDATES, headers=FRAGMENT | token | star), 404)


class TestDelete:
    async def test_a_session_ends_once_whatever_tag_is_sent(self, served: Served) -> None:
        location, token, _ = await published(served)
        assert (await served.client.delete(location, headers=token | {"If-Match": '"stale"'})).status == 200
        assert not served.fake.sessions
        await problem(await served.client.delete(location, headers=token), 404, "not_found")

    async def test_it_needs_the_token(self, served: Served) -> None:
        location, _, _ = await published(served)
        await problem(await served.client.delete(location), 401)
        assert served.fake.sessions


class TestOptionsAndCors:
    async def test_a_preflight_needs_no_token_and_tells_no_ice_servers(self, served: Served) -> None:
        path, _ = await served.entry_point()
        headers = {
            "Origin": "https://example.net",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        answer = await served.client.options(path, headers=headers)
        assert answer.status == 200
        assert answer.headers["Accept-Post"] == "application/sdp"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert {"Authorization", "Content-Type", "If-Match"} <= set(
            answer.headers["Access-Control-Allow-Headers"].split(", ")
        )
        assert "Link" not in answer.headers

    async def test_a_session_allows_patch_and_delete(self, served: Served) -> None:
        location, _, _ = await published(served)
        answer = await served.client.options(location)
        assert {"PATCH", "DELETE"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
        assert "Accept-Post" not in answer.headers

    async def test_with_a_token_it_tells_the_ice_servers(self, served: Served) -> None:
        path, token = await served.entry_point()
        assert len((await served.client.options(path, headers=token)).headers.getall("Link")) == 2
        await problem(await served.client.options(path, headers=bearer("wrong")), 401)

    async def test_pages_of_any_origin_may_read_answers_and_errors(self, served: Served) -> None:
        _, _, answer = await published(served)
        refused = await served.client.post("/whip/unknown", data=OFFER, headers=SDP)
        for one in (answer, refused):
            assert one.headers["Access-Control-Allow-Origin"] == "*"
            exposed = set(one.headers["Access-Control-Expose-Headers"].split(", "))
            assert {"Location", "ETag", "Link"} <= exposed


class TestAnything:
    """Whatever is sent, the answer is a documented one, and an error is a problem document."""

    @given(body=st.binary(max_size=400) | st.text(max_size=200).map(lambda text: ("v=0" + text).encode()))
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_bodies(self, served: Served, body: bytes) -> None:
        path, token = await served.entry_point()
        answer = await served.client.post(path, data=body, headers=SDP | token)
        if answer.status != 201:
            await problem(answer, answer.status)
            assert answer.status in (400, 422)

    @given(
        if_match=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30),
        body=st.text(max_size=60),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_fragments(self, served: Served, if_match: str, body: str) -> None:
        location, token, _ = await published(served)
        headers = FRAGMENT | token | {"If-Match": if_match}
        answer = await served.client.patch(location, data=body.encode("utf-8", "replace"), headers=headers)
        if answer.status not in (200, 204):
            await problem(answer, answer.status)
            assert answer.status in (400, 412)

    @given(
        query=st.dictionaries(
            st.sampled_from(["participant", "name", "role", "source", "x"]), st.text(max_size=9)
        )
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_queries(self, served: Served, query: dict[str, str]) -> None:
        path, token = await served.entry_point()
        query = {name: value.encode("utf-8", "replace").decode() for name, value in query.items()}
        answer = await served.client.post(path, params=query, data=OFFER, headers=SDP | token)
        if answer.status != 201:
            await problem(answer, 400, "invalid_query")


class TestIdentity:
    async def test_a_participant_publishes_as_themself_only(self, served: Served) -> None:
        made = await served.recording()
        path = "/whip/" + made["entry_point"]["url"].rpartition("/")[2]
        add = served.fake.ports.conversations.add_participant
        ada = await add(made["conversation"], role=Role.AGENT, name="Ada")
        eve = await add(made["conversation"], role=Role.VISITOR, name="Eve")
        mine = bearer(served.fake.ports.entry_points.token_for(made["id"], eve))

        async def publish(**query: str) -> Any:
            return await served.client.post(path, params=query, data=OFFER, headers=SDP | mine)

        for query in ({"participant": ada.id}, {"role": "AGENT"}, {"source": "document"}):
            await problem(await publish(**query), 403, "forbidden")
        answer = await publish(name="Ada", participant=eve.id, role="VISITOR", source="screen_share")
        assert answer.status == 201
        (session,) = served.fake.sessions.values()
        publisher = session.publisher
        assert (publisher.participant, publisher.name, publisher.role) == (eve.id, "Eve", Role.VISITOR)
        others = bearer(served.fake.ports.entry_points.token_for(made["id"], ada))
        location = answer.headers["Location"]
        await problem(await served.client.delete(location, headers=others), 404, "not_found")
        assert (await served.client.delete(location, headers=mine)).status == 200

    async def test_who_starts_a_recording_gets_a_token_of_their_own(self, served: Served) -> None:
        conversation = await served.conversation()
        agent = await served.token(conversation, Role.AGENT)
        answer = await served.client.post(f"/v1/conversations/{conversation}/recordings", headers=agent)
        made = await answer.json()
        secret = made["entry_point"]["url"].rpartition("/")[2]
        assert made["entry_point"]["token"] != f"whip-{secret}"
        (participant,) = served.fake.participants.values()
        headers = SDP | bearer(made["entry_point"]["token"])
        assert (await served.client.post(f"/whip/{secret}", data=OFFER, headers=headers)).status == 201
        assert next(iter(served.fake.sessions.values())).publisher.participant == participant.id

    async def test_a_call_service_asks_for_a_participants_token(self, served: Served) -> None:
        made = await served.recording()
        path = f"/v1/recordings/{made['id']}/publishers"
        ada = await served.fake.ports.conversations.add_participant(
            made["conversation"], role=Role.AGENT, name="Ada"
        )
        answer = await served.client.post(path, json={"participant": ada.id}, headers=served.key)
        invited = await answer.json()
        assert (answer.status, invited["participant"]) == (201, ada.id)
        assert invited["token"] != made["entry_point"]["token"]
        nobody = await served.client.post(path, json={"participant": "part_x"}, headers=served.key)
        await problem(nobody, 404, "not_found")
