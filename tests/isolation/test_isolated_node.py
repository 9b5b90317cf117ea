"""An isolated node speaks with its TURN server, its store and its callers; a capture shows nobody else."""

import asyncio
import logging
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from media.check.file import check_file
from tests.isolation.scene import (
    STORE_PORT,
    TURN_PORT,
    Scene,
    node,
    publishing,
    relay_in,
    rules_of,
    scene,
    servers_of,
    store_in,
)
from tests.support.namespaces import Flow, Namespace, captured, needs_namespaces

pytestmark = [pytest.mark.slow, needs_namespaces]

RECORDED_S = 5.0
ANY_PORT = "1024-65535"  # of the API: the server takes a free one
_log = logging.getLogger(__name__)


async def test_nobody_hears_of_a_call_but_those_who_have_to(tmp_path: Path) -> None:
    with ExitStack() as stack:
        at = stack.enter_context(scene())
        stack.enter_context(store_in(at.core, tmp_path / "store", address=at.core_address))
        relay = stack.enter_context(relay_in(at, tmp_path / "turn"))
        isolate(at, tmp_path, api_port=ANY_PORT)
        flows = stack.enter_context(
            captured(at.node, tmp_path / "node.pcap", own=(at.node_address, at.api_address, "127.0.0.1"))
        )
        async with node(at, tmp_path, at.served | at.store | relay.settings) as (_, api):
            recording = await api.start()
            async with publishing(at.publisher) as publisher:
                answer, _ = await publisher.publish(
                    api, recording["entry_point"], servers=servers_of(recording), relayed=True
                )
                await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > RECORDED_S)
            await api.stop(recording["id"])
            over = await api.until(recording["id"], "AVAILABLE", "FAILED")
            assert (over["state"], over["failure"]) == ("AVAILABLE", None)
            file = tmp_path / "recording.mp4"
            file.write_bytes(await api.media(recording["id"]))
        refused = {name: at.node.counted(name) for name in ("refused_in", "refused_out")}
        stack.pop_all().close()
    report = await asyncio.to_thread(check_file, file)
    assert report.ok, report.problems
    for address in (at.node_address, at.api_address):
        assert address not in answer
    seen = {flow: count for flow, count in flows.items() if flow.address not in ("127.0.0.1", "::1")}
    _log.info("packets: %s; refused: %s", seen, refused)
    media, stored = Flow("udp", at.core_address, TURN_PORT), Flow("tcp", at.core_address, STORE_PORT)
    asked = {flow for flow in seen if flow.protocol == "tcp" and flow.address == at.caller_address}
    assert set(seen) == {media, stored} | asked
    assert seen[media] > 100 and seen[stored] > 10 and asked
    # Not only did nothing else pass: nothing else was tried.
    assert refused == {"refused_in": 0, "refused_out": 0}


def isolate(at: Scene, directory: Path, *, api_port: str) -> None:
    """Load the operators' rules into the node's namespace, with this scene's addresses."""
    reached = (
        f"{at.core_address} . udp . {TURN_PORT}, {at.core_address} . tcp . {TURN_PORT}, "
        f"{at.core_address} . tcp . {STORE_PORT}"
    )
    at.node.load(rules_of(callers=at.caller_address, api_port=api_port, reached=reached), directory)


async def test_the_rules_let_nobody_else_in_or_out(tmp_path: Path) -> None:
    with scene() as at:
        isolate(at, tmp_path, api_port="8080")
        for address, port in ((at.core_address, 53), (at.core_address, 3479), (at.caller_address, 3478)):
            with pytest.raises(RuntimeError, match="Operation not permitted"):
                say(at.node, address, port)
        assert at.node.counted("refused_out") == 3
        say(at.node, at.core_address, TURN_PORT)
        assert at.node.counted("refused_out") == 3
        say(at.core, at.node_address, 50_000)
        assert at.node.counted("refused_in") == 1


def say(namespace: Namespace, address: str, port: int) -> None:
    """Send one datagram from there."""
    program = "import socket, sys; to = sys.argv[1], int(sys.argv[2]);"
    program += "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'hello', to)"
    namespace.run(sys.executable, "-c", program, address, str(port))
