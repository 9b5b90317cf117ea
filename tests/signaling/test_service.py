"""Health, metrics, and the store's test."""

import asyncio

import pytest

from signaling.api.administration import service as api_service
from tests.support.http import Served, problem


async def test_the_process_answers(served: Served) -> None:
    answer = await served.client.get("/healthz")
    assert (answer.status, await answer.json()) == (200, {"status": "ok"})


class TestReadiness:
    async def test_all_is_well(self, served: Served) -> None:
        answer = await served.client.get("/readyz")
        assert answer.status == 200
        assert await answer.json() == {"ready": True, "dependencies": {"store": True, "spool": True}}

    async def test_one_thing_is_not(self, served: Served) -> None:
        served.fake.dependencies["store"] = False
        answer = await served.client.get("/readyz")
        assert (answer.status, (await answer.json())["ready"]) == (503, False)

    async def test_it_does_not_wait_for_ever(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        async def stuck() -> dict[str, bool]:
            return await asyncio.Future()

        monkeypatch.setattr(api_service, "READY_S_MAX", 0.01)
        monkeypatch.setattr(served.fake.ports.health, "ready", stuck)
        answer = await served.client.get("/readyz")
        assert (answer.status, (await answer.json())["dependencies"]) == (503, {"answered_in_time": False})


class TestMetrics:
    async def test_requests_are_counted_by_operation_and_status(self, served: Served) -> None:
        await served.client.get("/v1/conversations", headers=served.key)
        await served.client.get("/v1/conversations")
        await served.client.get("/v1/nothing/here")
        text = await (await served.client.get("/metrics")).text()
        assert 'bystander_http_requests_total{operation="listConversations",status="200"} 1.0' in text
        assert 'bystander_http_requests_total{operation="listConversations",status="401"} 1.0' in text
        assert 'bystander_http_requests_total{operation="none",status="404"} 1.0' in text
        assert 'bystander_http_request_duration_seconds_count{operation="listConversations"} 2.0' in text
        assert "bystander_http_requests_in_progress 1.0" in text  # this one

    async def test_the_format_is_as_asked(self, served: Served) -> None:
        plain = await served.client.get("/metrics")
        assert plain.content_type == "text/plain"
        asked = await served.client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert asked.content_type == "application/openmetrics-text"


class TestStorage:
    async def test_the_steps_are_told(self, served: Served) -> None:
        answer = await served.client.post("/v1/storage/test", headers=served.key)
        said = await answer.json()
        assert (answer.status, said["ok"], said["steps"][0]["name"]) == (200, True, "write")

    @pytest.mark.parametrize("path", ["/v1/storage/test", "/v1/storage/test/steps"])
    async def test_it_is_of_the_store_that_the_query_names(self, served: Served, path: str) -> None:
        for store, status in (("default", 200), ("nowhere", 404)):
            answer = await served.client.post(path, headers=served.key, params={"store": store})
            assert answer.status == status
        wrong = await served.client.post(path, headers=served.key, json={"store": "archive"})
        await problem(wrong, 422, "invalid_body")
        await problem(await served.client.post(path, headers=served.key, params={"name": "a"}), 400)

    async def test_it_wants_a_key(self, served: Served) -> None:
        await problem(await served.client.post("/v1/storage/test"), 401)
