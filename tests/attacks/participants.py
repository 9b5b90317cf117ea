"""Attacks of people in a call, by the token of their link."""

import asyncio
import gzip
import time

import aiohttp

from tests.attacks.scene import FRAGMENT, NOTICED_S, SDP, Scene, connected
from tests.attacks.table import attack
from tests.support.aiortc_peer import AiortcPeer

WORST_OFFER = (
    "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\na=ice-pwd:" + "x" * 22 + "\r\n"
    "a=fingerprint:sha-256 " + ":".join(["00"] * 32) + "\r\nm=video 9 UDP/TLS/RTP/SAVPF "
    + "96 " * 10_500 + "\r\na=sendonly\r\na=rtcp-mux\r\n" + "a=rtcp-fb:96\r\n" * 1_700
)  # fmt: skip
OFFERS_WITHOUT_MEDIA = 31


@attack("participant", "somebody else's name, role or id, in the query of an offer")
async def somebody_elses_name(scene: Scene) -> None:
    path, token = await scene.invitation("VISITOR")
    agent = scene.people["AGENT"]["id"]
    for query in (f"?participant={agent}", "?role=AGENT", f"?participant={agent}&role=AGENT&name=Agent"):
        answer = await scene.ask("POST", path + query, token=token, data="v=0\r\n", headers=SDP)
        assert answer == (403, "forbidden")
    answer = await scene.ask(
        "POST", path, token=scene.people["VISITOR"]["token"], data="v=0\r\n", headers=SDP
    )
    assert answer == (401, "unauthorized")


@attack("participant", "another participant's publisher token, made of one's own")
async def forged_publisher_tokens(scene: Scene) -> None:
    path, token = await scene.invitation("VISITOR")
    identity, sources, digest = token.split(".")
    agent = scene.people["AGENT"]["id"]
    other = await scene.operator.start()
    body = {"participant": scene.people["VISITOR"]["id"]}
    elsewhere = f"/v1/recordings/{other['id']}/publishers"
    await scene.operator.call("POST", elsewhere, body, status=404)  # who is in another conversation
    for forged in (
        f"{agent}.{sources}.{digest}",
        f"{identity}.{sources}+file.{digest}",
        f"{identity}.camera.{digest}",
        f"{identity}..{digest}",
        f"{identity}.{sources}.{digest[:-1]}",
        f"{identity}.{sources}.{digest}.",
        f"{identity}.{sources}.{digest.upper()}",
        f"{identity}.{sources}.",
        f".{sources}.{digest}",
        token + "x" * 300,
        other["entry_point"]["token"],
    ):
        answer = await scene.ask("POST", path, token=forged, data="v=0\r\n", headers=SDP)
        assert answer == (401, "unauthorized"), forged
    await scene.operator.stop(other["id"])


@attack("participant", "another conversation")
async def another_conversation(scene: Scene) -> None:
    other = await scene.operator.conversation()
    token = scene.people["AGENT"]["token"]
    for path in (f"/v1/conversations/{other}", f"/v1/conversations/{other}/messages"):
        assert (await scene.ask("GET", path, token=token))[0] == 404


@attack("participant", "long-polls, as many as there are", "the call service is answered")
async def all_the_long_polls(scene: Scene) -> None:
    path, token = f"/v1/conversations/{scene.conversation}/decisions", scene.people["VISITOR"]["token"]
    polls = [
        asyncio.create_task(scene.ask("GET", path + "?wait_s=1&after=1000", token=token)) for _ in range(20)
    ]
    answers = sorted(await asyncio.gather(*polls))
    assert [status for status, _ in answers].count(429) == 12, answers
    await scene.operator.call("GET", path)


@attack("participant", "offers that take long to read", "each is refused in the time of any other")
async def an_offer_that_takes_long_to_read(scene: Scene) -> None:
    path, token = await scene.invitation("VISITOR")
    for _ in range(6):
        began = time.monotonic()
        status, _ = await scene.ask("POST", path, token=token, data=WORST_OFFER[:65_000], headers=SDP)
        assert status in (400, 422) and time.monotonic() - began < NOTICED_S


@attack(
    "participant", "all seats, by offers after which nothing comes", "somebody else publishes", in_call=True
)
async def offers_without_media(scene: Scene) -> None:
    async with AiortcPeer(video_codec=None) as peer:
        offer = await peer.offer()
    for _ in range(OFFERS_WITHOUT_MEDIA):
        status, _, answer = await scene.offered("VISITOR", offer)
        assert status in (201, 429), answer
    await scene.publishes("AGENT")


@attack("participant", "the session of somebody else", "it goes on", in_call=True)
async def sessions_of_others(scene: Scene) -> None:
    async with AiortcPeer(video_codec=None) as peer:
        _, session, answer = await scene.offered("AGENT", await peer.offer())
        await peer.answered(answer)
        await connected(peer)
        _, token = await scene.invitation("VISITOR")
        body = "a=ice-ufrag:abcd\r\na=ice-pwd:" + "x" * 22 + "\r\n"
        restart = {"data": body, "headers": {**FRAGMENT, "If-Match": "*"}}
        assert await scene.ask("PATCH", session, token=token, **restart) == (404, "not_found")
        assert await scene.ask("DELETE", session, token=token) == (404, "not_found")
        assert peer.connection.connectionState == "connected"


@attack(
    "participant",
    "another certificate than the one that was offered",
    "nothing of it is recorded",
    in_call=True,
)
async def a_wrong_fingerprint(scene: Scene) -> None:
    async with AiortcPeer(video_codec=None) as peer:
        lines = (await peer.offer()).splitlines()
        forged = [_forged(line) if line.startswith("a=fingerprint:sha-256") else line for line in lines]
        kept = [
            line for line in forged if not line.startswith(("a=fingerprint:sha-3", "a=fingerprint:sha-5"))
        ]
        status, _, answer = await scene.offered("VISITOR", "\r\n".join(kept) + "\r\n")
        assert status == 201, answer
        await peer.answered(answer)
        async with asyncio.timeout(10):
            while not any(_is_mismatch(event) for event in await scene.events()):  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
    visitor = scene.people["VISITOR"]["id"]
    assert not any(
        event["kind"] == "joined" and event["participant"] == visitor for event in await scene.events()
    )


def _forged(line: str) -> str:
    last = "0" if line[-1] != "0" else "1"
    return line[:-1] + last


def _is_mismatch(event: dict[str, object]) -> bool:
    return event["kind"] == "connection_failed" and event["detail"] == {"reason": "dtls_fingerprint_mismatch"}


@attack("participant", "bodies that are bombs: long, deep, and small until they are unpacked")
async def bodies_that_are_bombs(scene: Scene) -> None:
    path, token = f"/v1/conversations/{scene.conversation}/messages", scene.people["VISITOR"]["token"]
    as_json = {"Content-Type": "application/json"}
    for data in ("x" * 200_000, "[" * 60_000, '{"text":' * 7_000):
        answer = await scene.ask("POST", path, token=token, data=data, headers=as_json)
        assert answer in ((413, "body_too_large"), (400, "invalid_json"), (422, "invalid_body"))
    packed = gzip.compress(b'{"text":"' + b"x" * 20_000_000 + b'"}')
    zipped = {**as_json, "Content-Encoding": "gzip"}
    async with asyncio.timeout(NOTICED_S):
        status, _ = await scene.ask("POST", path, token=token, data=packed, headers=zipped)
    assert status in (400, 413, 415)


@attack("participant", "line ends and scripts in names and texts", "headers and pages are as they were")
async def what_texts_may_hold(scene: Scene) -> None:
    path, token = f"/v1/conversations/{scene.conversation}/messages", scene.people["VISITOR"]["token"]
    said = "<script>alert(1)</script>\"'>"
    assert (await scene.ask("POST", path, token=token, body={"text": said}))[0] == 201
    people = f"/v1/conversations/{scene.conversation}/participants"
    for name in ("a\r\nSet-Cookie: x=1", "a\x00b", "\u202ereversed"):
        status, _ = await scene.ask(
            "POST", people, token=await scene.key("admin"), body={"role": "VISITOR", "name": name}
        )
        assert status in (201, 422), name
    publish, publisher = await scene.invitation("VISITOR")
    split = publish + "?name=a%0d%0aSet-Cookie:%20x=1"
    status, _ = await scene.ask("POST", split, token=publisher, data="v=0\r\n", headers=SDP)
    assert status in (400, 403, 422)


@attack("participant", "to go on by a token that was replaced", "their place in the room is free")
async def a_token_that_was_replaced(scene: Scene) -> None:
    room = await scene.enter("VISITOR")
    visitor = scene.people["VISITOR"]["id"]
    path = f"/v1/conversations/{scene.conversation}/participants/{visitor}/token"
    await scene.operator.call("POST", path)
    async with asyncio.timeout(NOTICED_S):
        while (await room.receive()).type is aiohttp.WSMsgType.TEXT:
            continue
    assert room.close_code == 4401
