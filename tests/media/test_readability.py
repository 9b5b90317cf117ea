"""Streams that are encrypted for others: silence, a word about it, and fewer key frames asked for."""

import os
import random

from media.handover.encoded_frame import Codec
from media.render.readability import ASK_NS_MAX, PictureReadability
from recorder.kernel.media import Canvas, Publisher
from recorder.kernel.recording import RecordingPlan
from tests.support.encoded_source import Reports, Sender, opus_packets, replay, video_frames
from tests.support.flashes import examine

PLAN = RecordingPlan(recording="rec", conversation="conv", canvas=Canvas(width=320, height=180))
SECONDS, BEEPS = 8.0, (1.0, 2.0, 3.0)
S = 1_000_000_000


def encrypted(data: bytes) -> bytes:
    """As SFrame makes it: nothing of the payload stays, and some bytes are added."""
    return random.Random(data).randbytes(len(data) + 14)


def sender(*, sound: bool, pictures: bool, until_s: float = SECONDS) -> Sender:
    """Flashes and beeps, encrypted until then or not at all."""
    made = Sender("s1", Publisher(participant="ada", name="Ada"))
    packets = opus_packets(SECONDS, BEEPS)
    made.sound(
        [encrypted(p) if sound and n < until_s * 50 else p for n, p in enumerate(packets)], reports=Reports()
    )
    frames = video_frames(Codec.VP8, (320, 180), 25, SECONDS, BEEPS, 1.0)
    made.video(
        [
            (data[:10] + os.urandom(1) if pictures and number < until_s * 25 else data, key)
            for number, (data, key) in enumerate(frames)
        ],
        codec=Codec.VP8,
        fps=25,
        reports=Reports(),
    )
    return made


def told(events: list[object], kind: str) -> list[float]:
    return [event.at_s for event in events if event.kind == kind]  # type: ignore[attr-defined]


def test_sound_that_is_encrypted_becomes_silence_and_is_told_once() -> None:
    output, _ = replay(PLAN, [sender(sound=True, pictures=False, until_s=4.0)], until_s=109.0)
    (unreadable,), (readable,) = (
        told(output.events, "stream_unreadable"),
        told(output.events, "stream_readable"),
    )
    assert unreadable < 1.0
    assert 4.0 <= readable < 5.0


def test_pictures_that_are_encrypted_are_told_and_asked_for_less_often() -> None:
    output, renderer = replay(PLAN, [sender(sound=False, pictures=True)], until_s=109.0)
    assert len(told(output.events, "stream_unreadable")) == 1
    assert len(examine(output.data).beeps) == len(BEEPS)
    assert renderer.dropped()["video_corrupt"] >= 3


def test_what_is_not_encrypted_is_read() -> None:
    output, renderer = replay(PLAN, [sender(sound=False, pictures=False)], until_s=109.0)
    assert told(output.events, "stream_unreadable") == []
    assert renderer.dropped() == {}


def test_asking_is_halved_each_time() -> None:
    stream = PictureReadability()
    for _ in range(3):
        stream.refused(0, keyframe=True)
    asked = [now_s for now_s in range(200) if stream.may_ask(now_s * S)]
    assert asked[:5] == [0, 1, 3, 7, 15]
    assert asked[-1] - asked[-2] == ASK_NS_MAX // S
    assert stream.decoded()
    assert stream.may_ask(200 * S) and stream.may_ask(200 * S)
