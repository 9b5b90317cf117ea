"""Ways that media takes: IPv6, a NAT that changes addresses alone, and TCP where UDP is dropped."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, async_playwright

from tests.isolation.scene import Scene, node, publishing, scene
from tests.support.api_client import ApiClient
from tests.support.browser import ARGUMENTS, CHROMIUM
from tests.support.flashing_browser import FlashingPage, connected, flashing
from tests.support.namespaces import Namespace, needs_namespaces

pytestmark = [pytest.mark.slow, needs_namespaces]

RECORDED_S = 1.5
FIRST_PORT, LAST_PORT = 50_000, 50_009
NO_UDP = """
table ip drops {
    chain out {
        type filter hook output priority filter;
        oif != lo meta l4proto udp drop
    }
}
"""
CANDIDATE = re.compile(r"^a=candidate:\S+ 1 (\w+) \d+ (\S+) (\d+) typ (\w+)", re.MULTILINE)


async def recorded(api: ApiClient, recording: dict[str, Any]) -> None:
    """Until there is media, and the end."""
    await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > RECORDED_S)
    await api.stop(recording["id"])
    over = await api.until(recording["id"], "AVAILABLE", "FAILED")
    assert (over["state"], over["failure"]) == ("AVAILABLE", None)


@pytest.mark.parametrize("families", ["IPV6", "BOTH"])
async def test_by_ipv6(tmp_path: Path, families: str) -> None:
    with scene(six=True) as at:
        there, _ = at.spaces.link(at.node, at.publisher, "fd00:77:4:", six=True)
        settings = at.served | {"BYSTANDER_CALL__IP_FAMILIES": families}
        async with node(at, tmp_path, settings) as (_, api), publishing(at.publisher) as publisher:
            recording = await api.start()
            answer, _ = await publisher.publish(api, recording["entry_point"], servers=[], relayed=False)
            addresses = {address for _, address, _, _ in CANDIDATE.findall(answer)}
            assert there in addresses
            assert any("." in address for address in addresses) == (families == "BOTH")
            await recorded(api, recording)


async def test_behind_a_nat_that_changes_addresses_alone(tmp_path: Path) -> None:
    public = "203.0.113.7"
    with scene() as at:
        router = at.spaces.add("router")
        gateway, inside = at.spaces.link(router, at.node, "10.77.5")
        outside, _ = at.spaces.link(router, at.publisher, "198.51.100")
        at.node.run("ip", "route", "add", "default", "via", gateway)
        at.publisher.run("ip", "route", "add", f"{public}/32", "via", outside)
        router.run("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        nat = f"""
            table ip nat {{
                chain in {{ type nat hook prerouting priority dstnat; ip daddr {public} dnat to {inside}; }}
                chain out {{ type nat hook postrouting priority srcnat; ip saddr {inside} snat to {public}; }}
            }}
        """
        router.load(nat, tmp_path)
        settings = at.served | {
            "BYSTANDER_CALL__PUBLIC_ADDRESSES": public,
            "BYSTANDER_CALL__INTERFACES": "10.77.5.0/24",
            "BYSTANDER_CALL__UDP_PORT_MIN": str(FIRST_PORT),
            "BYSTANDER_CALL__UDP_PORT_MAX": str(LAST_PORT),
        }
        async with node(at, tmp_path, settings) as (_, api), publishing(at.publisher) as publisher:
            recording = await api.start()
            answer, _ = await publisher.publish(api, recording["entry_point"], servers=[], relayed=False)
            ((transport, address, port, kind),) = CANDIDATE.findall(answer)
            assert (transport, address, kind) == ("udp", public, "host")
            assert FIRST_PORT <= int(port) <= LAST_PORT
            assert inside not in answer
            await recorded(api, recording)


@pytest.mark.parametrize("udp", [True, False])
async def test_a_browser_by_tcp_where_udp_is_dropped(tmp_path: Path, udp: bool) -> None:
    with scene() as at:
        there, _ = at.spaces.link(at.node, at.publisher, "10.77.6")
        if not udp:
            at.publisher.load(NO_UDP, tmp_path)
        settings = at.served | {"BYSTANDER_CALL__ICE_TCP": "true", "BYSTANDER_CALL__INTERFACES": there}
        async with node(at, tmp_path, settings) as (_, api), browser_in(at, tmp_path) as browser:
            recording = await api.start()
            async with flashing(browser, FlashingPage()) as (page, offer):
                answer = await api.whip(recording["entry_point"], offer)
                assert {each[0] for each in CANDIDATE.findall(answer)} == {"udp", "tcp"}
                await connected(page, answer)
                assert await page.evaluate(USED) == ("udp" if udp else "tcp")
                await recorded(api, recording)


USED = """async () => {
    const stats = [...(await connection.getStats()).values()];
    const transport = stats.find(({ type }) => type === "transport");
    const pair = stats.find(({ id }) => id === transport.selectedCandidatePairId);
    return stats.find(({ id }) => id === pair.remoteCandidateId).protocol;
}"""


@asynccontextmanager
async def browser_in(at: Scene, directory: Path) -> AsyncIterator[Browser]:
    """Chromium in the publisher's namespace."""
    async with async_playwright() as playwright:
        program = str(_wrapped(at.publisher, directory))
        browser = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS, headless=True)
        try:
            yield browser
        finally:
            await browser.close()


def _wrapped(namespace: Namespace, directory: Path) -> Path:
    program = directory / "chromium"
    program.write_text(f'#!/bin/sh\nexec {" ".join(namespace.prefix)} {CHROMIUM} "$@"\n')
    program.chmod(0o755)
    return program
