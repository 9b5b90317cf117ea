"""A node whose only way out is an HTTP proxy: its store and its webhooks go by it, and nothing else does."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.isolation.scene import STORE_PORT, Scene, node, publishing, relay_in, scene, servers_of, store_in
from tests.support.namespaces import Namespace, captured, needs_namespaces

pytestmark = [pytest.mark.slow, needs_namespaces]

RECORDED_S = 2.0
PROXY_PORT, HOOK_PORT = 3128, 8443
USER, PASSWORD = "node", "a-word"
RECEIVER = """
import http.server, sys
class Takes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open(sys.argv[3], "ab").write(body + b"\\n")
        self.send_response(204)
        self.end_headers()
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Takes).serve_forever()
"""


@contextmanager
def running(namespace: Namespace, *command: str) -> Iterator[None]:
    """A program there, for the length of the block."""
    process = subprocess.Popen(
        [*namespace.prefix, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def tinyproxy_in(at: Scene, directory: Path) -> Iterator[Path]:
    """Debian's tinyproxy in the core, for the node alone and with a password; its log."""
    log, file = directory / "proxy.log", directory / "tinyproxy.conf"
    log.touch()
    log.chmod(0o666)
    lines = [f"Port {PROXY_PORT}", f"Listen {at.core_address}", f"Allow {at.node_address}", "MaxClients 50"]
    lines += [f'LogFile "{log}"', "LogLevel Connect", "Timeout 60", f"BasicAuth {USER} {PASSWORD}"]
    file.write_text("\n".join(lines) + "\n")
    with running(at.core, "tinyproxy", "-d", "-c", str(file)):
        yield log


def carried(log: Path) -> Counter[str]:
    """Requests by the host and port that they were for."""
    return Counter(
        re.findall(r"Request \(file descriptor \d+\): \w+ (?:http://)?([\d.]+:\d+)", log.read_text())
    )


@pytest.mark.parametrize("word", [PASSWORD, "a-wrong-word"])
async def test_all_that_is_no_media_goes_by_the_proxy(tmp_path: Path, word: str) -> None:
    with ExitStack() as stack:
        at = stack.enter_context(scene())
        outside = at.spaces.add("outside")
        _, address = at.spaces.link(at.core, outside, "10.77.9")
        stack.enter_context(store_in(outside, tmp_path / "store", address=address))
        hooks = tmp_path / "hooks.jsonl"
        stack.enter_context(
            running(outside, sys.executable, "-c", RECEIVER, address, str(HOOK_PORT), str(hooks))
        )
        log = stack.enter_context(tinyproxy_in(at, tmp_path))
        relay = stack.enter_context(relay_in(at, tmp_path / "turn"))
        own = (at.node_address, at.api_address, "127.0.0.1")
        flows = stack.enter_context(captured(at.node, tmp_path / "node.pcap", own=own))
        settings = (
            at.served
            | at.store
            | relay.settings
            | {
                "BYSTANDER_STORAGE__ENDPOINT": f"http://{address}:{STORE_PORT}",
                "BYSTANDER_PROXY__URL": f"http://{USER}:{word}@{at.core_address}:{PROXY_PORT}",
                "BYSTANDER_WEBHOOKS__ALLOW_PRIVATE_NETWORKS": "true",
            }
        )
        async with node(at, tmp_path, settings) as (server, api):
            hook = {"url": f"http://{address}:{HOOK_PORT}/here"}
            await api.call("POST", "/v1/webhooks", hook, status=201)
            conversation = await api.conversation()
            if word != PASSWORD:  # the store cannot be reached, and nobody goes round the proxy
                path = f"/v1/conversations/{conversation}/recordings"
                refused = await api.call("POST", path, status=503)
                assert refused["code"] in ("store_unreachable", "store_failed", "store_denied")
            else:
                recording = await api.start(conversation)
                async with publishing(at.publisher) as publisher:
                    servers = servers_of(recording)
                    await publisher.publish(api, recording["entry_point"], servers=servers, relayed=True)
                    await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > RECORDED_S)
                await api.stop(recording["id"])
                over = await api.until(recording["id"], "AVAILABLE", "FAILED")
                assert (over["state"], over["failure"]) == ("AVAILABLE", None)
                assert (await api.media(recording["id"]))[4:8] == b"ftyp"
            assert word not in server.log.read_text()
        stack.pop_all().close()
    reached = {
        (flow.protocol, flow.address, flow.port) for flow in flows if flow.address not in ("127.0.0.1", "::1")
    }
    allowed = {("tcp", at.core_address, PROXY_PORT), ("udp", at.core_address, relay.port)}
    assert {each for each in reached if each[1] != at.caller_address} <= allowed
    counted = carried(log)
    if word == PASSWORD:
        assert counted[f"{address}:{STORE_PORT}"] > 5 and counted[f"{address}:{HOOK_PORT}"] > 1
        told = [json.loads(line)["type"] for line in hooks.read_text().splitlines()]
        assert any("recording" in kind for kind in told), told
    else:
        assert not hooks.exists()
