"""Traces: one from the request that starts a recording to the object that is verified in the store."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from recorder.kernel.log.span import span
from tests.support.api_client import ApiClient
from tests.support.server import running_server

THEIRS = "0af7651916cd43dd8448eb211c80319c"  # a trace that a caller goes on with


class Collector:
    """What OTLP over HTTP brought to a port of its own."""

    def __init__(self) -> None:
        collected = self.spans = []  # type: list[Any]

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collected.extend(one for scope in resource.scope_spans for one in scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return None

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of_trace(self, trace: bytes) -> dict[str, Any]:
        """Its spans by name; of equal ones the last."""
        return {one.name: one for one in self.spans if one.trace_id == trace}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def test_without_a_tracer_a_span_is_nothing() -> None:
    with span("x", {"recording": "rec"}):
        pass


async def test_one_trace_leads_from_the_request_to_the_stored_object(
    tmp_path: Path, collector: Collector
) -> None:
    settings = {"BYSTANDER_TRACING__OTLP_URL": collector.url}
    with running_server(tmp_path / "data", settings=settings) as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
                await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 1)
            await api.stop(recording["id"])
            await api.until(recording["id"], "AVAILABLE")
        headers = {**server.headers, "traceparent": f"00-{THEIRS}-b7ad6b7169203331-01"}
        async with aiohttp.ClientSession(server.base_url, headers=headers) as theirs:
            assert (await theirs.get("/v1/conversations")).status == 200
    begun = next(one for one in collector.spans if one.name == "startRecording")
    found = collector.of_trace(begun.trace_id)
    assert {"startRecording", "recording", "launch worker", "finish upload", "upload: verify"} <= set(found)
    ids = {one.span_id: one.name for one in found.values()}
    assert ids[found["recording"].parent_span_id] == "startRecording"
    assert ids[found["launch worker"].parent_span_id] == "recording"
    told = {one.key: one.value.string_value for one in found["upload: verify"].attributes}
    assert told["recording"] == recording["id"]
    assert found["upload: verify"].end_time_unix_nano <= found["recording"].end_time_unix_nano
    listed = next(one for one in collector.spans if one.name == "listConversations")
    assert listed.trace_id.hex() == THEIRS
    entry_point = recording["entry_point"]["url"].rpartition("/")[2]
    assert entry_point not in repr(collector.spans)
