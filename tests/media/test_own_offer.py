"""A Peer that offers by itself: somebody who sends answers, over real ICE, DTLS and SRTP."""

import pytest
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription

from recorder.kernel.errors import BystanderError
from tests.media.test_peer import Receiver
from tests.support.aiortc_peer import MovingBar


async def answer_of(sender: RTCPeerConnection, offer: str, *, silent: bool = False) -> str:
    """What stock aiortc answers, with sound and pictures."""
    await sender.setRemoteDescription(RTCSessionDescription(sdp=offer, type="offer"))
    if not silent:
        sender.addTrack(AudioStreamTrack())
        sender.addTrack(MovingBar())
    await sender.setLocalDescription(await sender.createAnswer())
    sdp: str = sender.localDescription.sdp
    return sdp


async def test_who_answers_is_received() -> None:
    sender = RTCPeerConnection()
    async with Receiver() as receiver:
        offer = await receiver.peer.offer()
        with pytest.raises(BystanderError, match="offer_repeated"):
            await receiver.peer.offer()
        await receiver.peer.answered(await answer_of(sender, offer))
        sink = receiver.sink
        await sink.until(lambda: len(sink.video()) >= 5 and len(sink.audio()) >= 5)
        assert sink.video()[0].keyframe
        assert receiver.states == ["connected"]
        with pytest.raises(BystanderError, match="session_closed"):
            await receiver.peer.answered(sender.localDescription.sdp)
        await sender.close()
        await sink.until(lambda: receiver.states[-1] == "closed")


async def test_after_an_answer_that_is_none_another_one_may_come() -> None:
    sender, silent = RTCPeerConnection(), RTCPeerConnection()
    async with Receiver() as receiver:
        offer = await receiver.peer.offer()
        for useless, code in (
            (await answer_of(silent, offer, silent=True), "no_media_sent"),
            ("?", "malformed"),
        ):
            with pytest.raises(BystanderError, match=code):
                await receiver.peer.answered(useless)
        await receiver.peer.answered(await answer_of(sender, offer))
        await receiver.sink.until(lambda: len(receiver.sink.audio()) >= 5)
        await silent.close()
        await sender.close()
        await receiver.sink.until(lambda: receiver.states[-1] == "closed")
