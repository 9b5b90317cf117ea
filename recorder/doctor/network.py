"""The ways to a server: its port, its public address, its TURN servers, its address for media."""

import asyncio
import socket
import urllib.error
import urllib.request
from http import HTTPStatus
from urllib.parse import urlsplit

from recorder.doctor.finding import Finding, failed, warning, well
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import IceTransportPolicy
from recorder.node.listening import bind
from recorder.node.process import check_bind_host
from recorder.node.turn_check import check_turn
from recorder.settings.definitions import CallSettings, ServerSettings, TurnSettings

ANSWER_TIMEOUT_S = 5.0
_OURS = "Bystander"  # what our server calls itself in each answer


async def port(server: ServerSettings) -> Finding:
    """Whether it can be listened on, or a server of ours does."""
    try:
        for opened in await bind(server.host, server.port):
            opened.close()
    except BystanderError as error:
        own = "127.0.0.1" if server.host in ("", "0.0.0.0", "::") else server.host
        if await asyncio.to_thread(_answers, f"http://{own}:{server.port}/healthz") is None:
            return well("port", f"{server.host}:{server.port}: a server of ours listens")
        return failed("port", error.detail, "End what listens there, or set server.port or server.host.")
    return well("port", f"{server.host}:{server.port} is free")


async def public_url(server: ServerSettings) -> Finding:
    """Whether browsers reach this server by the address that links begin with."""
    url = server.public_url
    if url is None:
        if _is_loopback(server.host):
            remedy = (
                "Set server.public_url, and put a reverse proxy with TLS before the server: docs/operate.md."
            )
            return warning("public_url", "unset: the server is for browsers on this machine", remedy)
        remedy = "Set server.public_url to an https address: browsers give camera and microphone to no other."
        return warning("public_url", f"unset, and {server.host} is open to others without TLS", remedy)
    why = await asyncio.to_thread(_answers, url.rstrip("/") + "/healthz")
    if why is not None:
        remedy = "Start the server, and look at the proxy: docs/operate.md has its lines for nginx."
        return warning("public_url", f"{url}: {why}", remedy)
    if urlsplit(url).scheme != "https" and not _is_loopback(urlsplit(url).hostname or ""):
        remedy = "Serve it over HTTPS: browsers give camera and microphone to no other page."
        return warning("public_url", f"{url} answers, without TLS", remedy)
    return well("public_url", f"{url} answers")


async def turn(call: CallSettings, servers: TurnSettings) -> Finding:
    """Whether publishers behind firewalls find a relay."""
    relayed = call.ice_transport_policy is IceTransportPolicy.RELAYED
    if not servers.urls:
        if relayed:
            remedy = 'Set turn.urls, or call.ice_transport_policy = "ALL".'
            return failed("turn", "media has to be relayed, and turn.urls names no server", remedy)
        remedy = "Run coturn with use-auth-secret, and set turn.urls and turn.secret."
        return warning("turn", "no TURN server: publishers behind strict firewalls cannot connect", remedy)
    silent = [url for url in servers.urls if not await _turn_answers(url)]
    if silent:
        remedy = "Start it, and open its port: this machine has to reach it as publishers do."
        judge = failed if relayed and len(silent) == len(servers.urls) else warning
        return judge("turn", f"no answer from {', '.join(silent)}", remedy)
    if servers.secret is None and servers.username is None:
        remedy = "Set turn.secret (coturn's static-auth-secret), or turn.username and turn.credential."
        return failed("turn", "the TURN server is given no credentials", remedy)
    return well("turn", f"{len(servers.urls)} TURN addresses answer")


async def media_address(call: CallSettings) -> Finding:
    """Whether this machine has the address that media is to use, and any that others can reach."""
    try:
        check_bind_host(call.bind_host)
    except BystanderError as error:
        return failed(
            "media_address", error.detail, "Set call.bind_host to an address of `ip address`, or not at all."
        )
    if call.bind_host is not None:
        return well("media_address", call.bind_host)
    own = _way_out()
    if own is None:
        remedy = "Connect the machine, or set call.bind_host for calls on this machine alone."
        return warning("media_address", "this machine has no way to others", remedy)
    return well("media_address", f"all addresses; {own} towards others")


async def _turn_answers(url: str) -> bool:
    try:
        await check_turn([url])
    except OSError:
        return False
    return True


def _answers(url: str) -> str | None:
    """Why our server does not answer there; None where it does."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_TIMEOUT_S) as answer:
            ours = answer.headers.get("Server", "")
            if answer.status != HTTPStatus.OK:
                return f"answers {answer.status}"
            return (
                None if ours == _OURS or not ours or "nginx" in ours else f"{ours} answers, not this server"
            )
    except urllib.error.HTTPError as error:
        return f"answers {error.code}"
    except (OSError, ValueError) as error:
        return f"does not answer ({error})"


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")


def _way_out() -> str | None:
    """The own address that packets to others leave from; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(probe.getsockname()[0])
