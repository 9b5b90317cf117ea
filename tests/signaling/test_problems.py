"""Every error is a problem document, tells nothing of the inside, and no secret reaches a log."""

import asyncio
import logging

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.kernel.errors import BystanderError, Fault, caller_error
from signaling.http.problems import InvalidInputError, headers_of, problem_of
from tests.support.http import OFFER, Served, problem, serve


class TestDocuments:
    def test_it_carries_what_the_error_knows(self) -> None:
        error = InvalidInputError("invalid_body", "Too long.", field="$.name", status=422)
        said = problem_of(error, "req_1")
        assert (said.type, said.title) == ("/docs#problem-invalid_body", "Invalid body")
        assert (said.status, said.detail, said.field) == (422, "Too long.", "$.name")
        assert (said.code, said.fault) == ("invalid_body", Fault.CALLER)
        assert said.instance == "urn:bystander:request:req_1"

    @pytest.mark.parametrize(
        ("status", "header"),
        [(401, "WWW-Authenticate"), (503, "Retry-After"), (429, "Retry-After"), (404, None)],
    )
    def test_headers_that_belong_to_a_status(self, status: int, header: str | None) -> None:
        assert list(headers_of(caller_error("x", "y", status=status))) == ([header] if header else [])

    def test_an_interrupted_recording_is_asked_again_at_once(self) -> None:
        error = BystanderError("recording_interrupted", "x", fault=Fault.RESOURCE, status=503)
        assert headers_of(error) == {"Retry-After": "1"}


class TestOfTheServer:
    @pytest.mark.parametrize(
        "path", ["/nothing", "/v1", "/v1/conversations/", "/whip/", "/v1/recordings/a/b/c"]
    )
    async def test_unknown_paths(self, served: Served, path: str) -> None:
        await problem(await served.client.get(path), 404, "not_found")

    async def test_unknown_methods(self, served: Served) -> None:
        answer = await served.client.put("/v1/conversations")
        await problem(answer, 405, "method_not_allowed")
        assert set(answer.headers["Allow"].split(",")) == {"GET", "POST"}

    @pytest.mark.parametrize("name", ["a b", "..%2f..%2fetc", "x" * 129, "%00", "ä", "a.b"])
    async def test_ids_that_are_none(self, served: Served, name: str) -> None:
        await problem(await served.client.get(f"/v1/recordings/{name}", headers=served.key), 404, "not_found")

    async def test_a_defect_is_logged_and_not_told(
        self, served: Served, caplog: pytest.LogCaptureFixture
    ) -> None:
        served.fake.fail("history.conversations", ZeroDivisionError("the inside"))
        answer = await served.client.get("/v1/conversations", headers=served.key)
        said = await problem(answer, 500, "internal_error")
        assert said["fault"] == "server"
        assert "inside" not in await answer.text()
        (record,) = [one for one in caplog.records if one.exc_info]
        assert answer.headers["X-Request-Id"] in record.getMessage()

    async def test_an_error_of_ours_keeps_its_fault(self, served: Served) -> None:
        error = BystanderError("disk_full", "The disk is full.", fault=Fault.DESTINATION, status=507)
        served.fake.fail("conversations.create", error)
        said = await problem(
            await served.client.post("/v1/conversations", headers=served.key), 507, "disk_full"
        )
        assert (said["fault"], said["detail"]) == ("destination", "The disk is full.")

    async def test_a_redirection_is_no_problem(self, served: Served) -> None:
        served.fake.fail("history.conversations", web.HTTPTemporaryRedirect("/elsewhere"))
        answer = await served.client.get("/v1/conversations", headers=served.key, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (307, "/elsewhere")

    async def test_a_body_that_does_not_come_is_not_waited_for(
        self, served: Served, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("signaling.http.bodies.BODY_READ_S_MAX", 0.02)
        assert served.client.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", served.client.port)
        writer.write(
            b"POST /v1/conversations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer fake-api-key\r\n\r\n{"
        )
        assert b" 408 " in await asyncio.wait_for(reader.readline(), 5)
        writer.close()

    @given(
        method=st.sampled_from(["GET", "POST", "DELETE", "PATCH", "OPTIONS", "PUT"]),
        parts=st.lists(
            st.sampled_from(["v1", "conversations", "recordings", "media", "whip", "events", "x"]), max_size=5
        ),
        body=st.binary(max_size=40),
    )
    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_nothing_that_is_asked_breaks_it(
        self, served: Served, method: str, parts: list[str], body: bytes
    ) -> None:
        path = "/" + "/".join(parts)
        answer = await served.client.request(method, path, headers=served.key, data=body)
        if answer.status >= 400:
            await problem(answer, answer.status)
            assert answer.status < 500


async def test_no_answer_says_what_it_is_made_with(served: Served) -> None:
    for path in ("/healthz", "/nothing"):
        assert (await served.client.get(path)).headers["Server"] == "Bystander"


class TestRequestIds:
    async def test_a_good_one_is_kept_and_a_bad_one_replaced(self, served: Served) -> None:
        kept = await served.client.get("/healthz", headers={"X-Request-Id": "proxy-12345.a"})
        assert kept.headers["X-Request-Id"] == "proxy-12345.a"
        for bad in ("short", "a" * 65, "has spaces in it"):
            made = await served.client.get("/healthz", headers={"X-Request-Id": bad})
            assert made.headers["X-Request-Id"].startswith("req_")


class TestLog:
    async def test_no_secret_is_written(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with serve() as served:
            made = await served.recording()
            secret = made["entry_point"]["url"].rpartition("/")[2]
            sdp = {"Content-Type": "application/sdp"}
            token = {"Authorization": f"Bearer {made['entry_point']['token']}"}
            await served.client.post(f"/whip/{secret}?name=x", data=OFFER, headers=sdp | token)
            await served.client.post(f"/whip/{secret}", data=OFFER, headers=sdp)
            await served.client.put(f"/whip/{secret}/x")
            await served.client.get(f"/whip/{secret}/x/y")
            served.fake.fail("entry_points.publish", ZeroDivisionError())
            await served.client.post(f"/whip/{secret}", data=OFFER, headers=sdp | token)
            signature = made["links"]["media"].partition("signature=")[2]
            await served.client.get(f"/v1/recordings/{made['id']}/media?signature={signature}")
        ours = [one.getMessage() for one in caplog.records if one.name.startswith("signaling")]
        assert len(ours) >= 7
        for secret_text in (secret, made["entry_point"]["token"], signature, "fake-api-key"):
            assert not [line for line in ours if secret_text in line]
        assert any("POST /whip/{entry_point} 201" in line for line in ours)
