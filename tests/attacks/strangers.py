"""Attacks of somebody who shows nothing that is good."""

import asyncio
import socket
import stat

import aiohttp
from yarl import URL

from media.webrtc.ice import UNANSWERED_CHECKS_MAX
from tests.attacks.scene import NOTICED_S, Scene, connected, media_ports
from tests.attacks.table import attack
from tests.support.aiortc_peer import AiortcPeer

PLAINTEXT_ALERT = bytes.fromhex("15fefd000000000000000100020228")  # DTLS 1.2, fatal, handshake_failure
ALERTS, ALERT_EVERY_S = 100, 0.002
FLOOD_DATAGRAMS = 4000
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>'


# --- connections and requests -------------------------------------------------------------------------------
@attack("stranger", "sockets of a room that never say whose they are", "an agent enters the room")
async def silent_sockets(scene: Scene) -> None:
    for _ in range(60):
        await scene.stack.enter_async_context(scene.attacker.ws_connect(f"/room/{scene.conversation}/socket"))
    await scene.enter("AGENT")


@attack("stranger", "connections whose heads never end", "an agent enters the room")
async def heads_that_never_end(scene: Scene) -> None:
    for _ in range(400):
        _, writer = await scene.connect()
        writer.write(b"GET / HTTP/1.1\r\nX-Slow: ")
    await scene.enter("AGENT")


@attack("stranger", "tokens, guessed", "guesses are counted before they are looked up")
async def guessed_tokens(scene: Scene) -> None:
    statuses = [await scene.ask("GET", "/v1/conversations", token=f"guess {n}") for n in range(60)]
    assert {status for status, _ in statuses} == {401, 429}


@attack("stranger", "signatures of links, guessed", "likewise")
async def guessed_links(scene: Scene) -> None:
    path = f"/v1/recordings/{scene.recording['id']}/media"
    answers = {await scene.ask("GET", f"{path}?expires=1893456000&signature=forged{n}") for n in range(60)}
    assert answers == {(403, "link_invalid"), (429, "too_many_requests")}


@attack("stranger", "paths that do not exist", "likewise")
async def paths_that_do_not_exist(scene: Scene) -> None:
    assert {(await scene.ask("GET", f"/nothing/{n}"))[0] for n in range(60)} == {404, 429}


@attack("stranger", "addresses of others in X-Forwarded-For", "whose address it is decides the connection")
async def forged_addresses(scene: Scene) -> None:
    forged = [{"X-Forwarded-For": f"203.0.113.{n % 256}"} for n in range(60)]
    assert {(await scene.ask("GET", "/healthz", headers=headers))[0] for headers in forged} == {200, 429}


@attack("stranger", "bytes that are no HTTP, with a secret in them", "it is in no answer and no log")
async def what_is_no_http(scene: Scene) -> None:
    scene.secrets.add("secret-of-mine")
    for line in (b"GET /whip/secret-of-mine\x00 HTTP/1.1\r\n\r\n", b"\x16\x03\x01secret-of-mine\r\n\r\n"):
        reader, writer = await scene.connect()
        writer.write(line)
        answer = await asyncio.wait_for(reader.read(), NOTICED_S)
        assert b" 400 " in answer.splitlines()[0] and b"aiohttp" not in answer and b"Python" not in answer


@attack("stranger", "a request inside the body of another, by lengths that contradict each other")
async def smuggled_requests(scene: Scene) -> None:
    inner = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for framing in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner,
        b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n" + inner,
        b"Content-Length: +5\r\n\r\nhello" + inner,
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + inner,
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + inner,
    ):
        reader, writer = await scene.connect()
        writer.write(b"POST /v1/conversations HTTP/1.1\r\nHost: x\r\n" + framing)
        answer = await asyncio.wait_for(reader.read(4096), NOTICED_S)
        assert b" 200 OK" not in answer, framing  # the inner one, understood as a request of its own


@attack("stranger", "paths that climb out of the pages")
async def paths_that_climb(scene: Scene) -> None:
    for path in ("/web/..%2f..%2fpyproject.toml", "/web/%2e%2e/app.py", "/room/../../etc/passwd"):
        status, _ = await scene.ask("GET", str(URL(path, encoded=True)))
        assert status in (200, 404)
        assert status == 404 or "/room/" in path  # the page of a room of whatever name


@attack("stranger", "scripts in what pages are asked for", "no page holds them, or lets others hold it")
async def scripts_in_paths(scene: Scene) -> None:
    for path in (f"/room/{HOSTILE}", f"/room/{scene.conversation}?x={HOSTILE}", f"/docs?x={HOSTILE}", "/"):
        async with scene.attacker.get(URL(path)) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            if answer.content_type != "text/html":  # a problem, which no browser runs
                assert answer.content_type == "application/problem+json"
                continue
            assert "<script>alert" not in await answer.text()
            policy = answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in policy
            assert "unsafe-inline" not in policy and "unsafe-eval" not in policy


# --- datagrams ----------------------------------------------------------------------------------------------
@attack(
    "stranger",
    "DTLS alerts to a media port, from many addresses, while somebody connects",
    "they are connected",
    in_call=True,
)
async def alerts_before_the_handshake(scene: Scene) -> None:
    async with AiortcPeer(video_codec=None) as peer:
        status, _, answer = await scene.offered("VISITOR", await peer.offer())
        assert status == 201, answer
        alerts = asyncio.create_task(_alerts(media_ports(answer)))
        await peer.answered(answer)
        await connected(peer)
        await alerts


async def _alerts(ports: list[int]) -> None:
    for number in range(ALERTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((f"127.0.2.{number % 250 + 1}", 0))
            for port in ports:
                stranger.sendto(PLAINTEXT_ALERT, ("127.0.0.1", port))
        await asyncio.sleep(ALERT_EVERY_S)


@attack("stranger", "thousands of datagrams to a media port", in_call=True)
async def floods(scene: Scene) -> None:
    async with AiortcPeer(video_codec=None) as peer:
        _, _, answer = await scene.offered("VISITOR", await peer.offer())
        await peer.answered(answer)
        await connected(peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.2.1", 0))
            for number in range(FLOOD_DATAGRAMS):
                first = (0x00, 0x16, 0x80, 0x90, 0xC8, 0xFF)[number % 6]
                datagram = bytes((first,)) + number.to_bytes(2) + bytes(200)
                stranger.sendto(datagram, ("127.0.0.1", media_ports(answer)[0]))
                if number % 100 == 0:
                    await asyncio.sleep(0)


# --- the machine --------------------------------------------------------------------------------------------
@attack("another account of the machine", "to read what the server keeps", "it is the server's alone")
async def files_of_the_server(scene: Scene) -> None:
    kept = scene.server.data_dir
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    secret = [kept / name for name in ("api-key", "secret", "bystander.db")]
    secret += list(kept.glob("bystander.db-*"))
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0, path


# --- what a link opens --------------------------------------------------------------------------------------
@attack("holder of a signed link", "other paths, a later expiry, another recording", in_call=True)
async def links_that_were_changed(scene: Scene) -> None:
    recording = scene.recording["id"]
    link = URL((await scene.operator.recording(recording))["links"]["media"]).relative()
    expires, signature = link.query["expires"], link.query["signature"]
    assert (await scene.ask("GET", str(link), headers={"Range": "bytes=0-99"}))[0] in (200, 206)
    other = await scene.operator.start()
    changed = [
        link.with_path(f"/v1/recordings/{other['id']}/media"),
        link.with_path(f"/v1/recordings/{recording}/events"),
        link.with_path(f"/v1/recordings/{recording}/media.mp4"),
        link.with_path(f"/watch/{recording}"),
        link.with_path(f"/v1/recordings/{recording}/hls/index.m3u8"),
        link.update_query(expires=str(int(expires) + 1)),
        link.update_query(expires=f"0{expires}"),
        link.update_query(expires=f"+{expires}"),
        link.update_query(expires=""),
        link.update_query(signature=signature[:-1]),
        link.update_query(signature=signature.swapcase()),
        link.update_query(signature=signature + "="),
        link.update_query(signature=""),
    ]
    for forged in changed:
        answer = await scene.ask("GET", str(forged).replace("%2B", "%2B"))
        assert answer[0] in (400, 401, 403), (forged, answer)
    for method, path in (
        ("DELETE", f"/v1/recordings/{recording}"),
        ("POST", f"/v1/recordings/{recording}/stop"),
    ):
        query = {"expires": expires, "signature": signature}
        assert (await scene.ask(method, str(URL(path).with_query(query))))[0] in (400, 401, 403)
    await scene.operator.stop(other["id"])


@attack("holder of a signed link", "a thousand ranges at once, and ranges that are none", in_call=True)
async def odd_ranges(scene: Scene) -> None:
    link = str(URL((await scene.operator.recording(scene.recording["id"]))["links"]["media"]).relative())
    for value in (
        "bytes=" + ",".join(f"{n}-" for n in range(1000)),
        "bytes=0-0," * 1500 + "0-0",
        "bytes=-9223372036854775808",
        "bytes=99999999999999999999-",
        "bytes=5-1",
        "bytes=--1",
        "lines=0-1",
    ):
        async with asyncio.timeout(NOTICED_S):
            status, code = await scene.ask("GET", link, headers={"Range": value})
        assert status in (200, 206, 400, 416, 431), (value[:40], status, code)


REFLECTED_TO = "127.0.4.1"


@attack(
    "publisher",
    "candidates at somebody else's address",
    f"at most {UNANSWERED_CHECKS_MAX} datagrams go there, for all of an offer's candidates",
    in_call=True,
)
async def candidates_of_others(scene: Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as victim:
        victim.bind((REFLECTED_TO, 0))
        victim.setblocking(False)
        port = victim.getsockname()[1]
        async with AiortcPeer(video_codec=None) as peer:
            offer = await peer.offer()
        named = [
            f"a=candidate:{n} 1 udp {n} {REFLECTED_TO} {port if n % 2 else 20_000 + n} typ host"
            for n in range(400)
        ]
        status, session, answer = await scene.offered("VISITOR", offer + "\r\n".join(named) + "\r\n")
        assert status in (201, 400), answer
        await asyncio.sleep(0.5)  # in which most of them would have come
        received = 0
        while True:
            try:
                victim.recv(2048)
            except BlockingIOError:
                break
            received += 1
        assert received <= UNANSWERED_CHECKS_MAX
        if status == 201:
            _, token = await scene.invitation("VISITOR")
            assert (await scene.ask("DELETE", session, token=token))[0] == 200


@attack("stranger", "the room's socket by a page of another site's making", "it says nothing without a token")
async def hello_of_nobody(scene: Scene) -> None:
    async with scene.attacker.ws_connect(f"/room/{scene.conversation}/socket") as room:
        await room.send_json({"type": "hello", "token": "guessed", "instance": "x"})
        answer = await room.receive(timeout=NOTICED_S)
        assert answer.type is not aiohttp.WSMsgType.TEXT or "welcome" not in answer.data
