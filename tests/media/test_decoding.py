import ctypes
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest

from media.audio.decoder import CONCEALED_SAMPLES_MAX, SoundDecoder
from media.audio.opus import carries_correction, library_path, packet_samples
from media.handover.encoded_frame import Codec, EncodedFrame
from media.video.decoder import PictureDecoder
from media.video.decoder_limits import REST_NS, TIME_BURST_NS, TIME_SHARE_MAX, MemoryShare
from recorder.kernel.limits import MIB
from tests.support.encoded_source import opus_packets, video_frames

PIXELS_MAX = 640 * 360


def new_decoder(memory: MemoryShare | None = None, **options: Any) -> PictureDecoder:
    return PictureDecoder(memory or MemoryShare(64 * MIB), **{"pixels_max": PIXELS_MAX, **options})


def frames(codec: Codec, size: tuple[int, int] = (320, 240), **options: object) -> list[EncodedFrame]:
    coded = video_frames(codec, size, 25, 1.0, (), moving=True, **options)
    return [EncodedFrame(codec, index * 3600, 0, data, key) for index, (data, key) in enumerate(coded)]


class TestPictures:
    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_every_frame_gives_its_picture_at_once(self, codec: Codec) -> None:
        decoder = new_decoder()
        pictures = [decoder.decode(frame) for frame in frames(codec)]
        assert all(picture is not None and picture.format.name == "yuv420p" for picture in pictures)
        assert not decoder.dropped

    def test_nothing_comes_before_a_key_frame(self) -> None:
        decoder = new_decoder()
        coded = frames(Codec.VP8)
        assert decoder.decode(coded[1]) is None
        assert decoder.wants_keyframe
        assert decoder.decode(coded[0]) is not None
        assert not decoder.wants_keyframe
        assert decoder.dropped == {"video_without_keyframe": 1}

    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_after_a_loss_the_last_good_picture_stays_until_a_key_frame(self, codec: Codec) -> None:
        decoder = new_decoder()
        coded = frames(codec, keyframe_every_s=0.4)
        coded[5] = replace(coded[5], after_loss=True)
        shown = [decoder.decode(frame) is not None for frame in coded]
        assert shown[:5] == [True] * 5
        assert shown[5:10] == [False] * 5
        assert all(shown[10:])

    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_garbage_costs_pictures_and_nothing_else(self, codec: Codec) -> None:
        decoder = new_decoder()
        coded = frames(codec)
        noise = np.random.default_rng(1).bytes(900)
        for data in (b"", b"\0", noise, b"\0\0\0\1" + noise):
            decoder.decode(replace(coded[0], data=data))
        assert decoder.decode(coded[0]) is not None
        assert sum(decoder.dropped.values()) == 4

    def test_size_and_codec_may_change_at_any_key_frame(self) -> None:
        decoder = new_decoder()
        parts = [frames(Codec.VP8), frames(Codec.VP8, (640, 360)), frames(Codec.H264), frames(Codec.VP8)]
        sizes = [
            (picture.width, picture.height)
            for part in parts
            for frame in part
            if (picture := decoder.decode(frame)) is not None
        ]
        assert sizes == [(320, 240)] * 25 + [(640, 360)] * 25 + [(320, 240)] * 50

    def test_a_new_codec_needs_its_own_key_frame(self) -> None:
        decoder = new_decoder()
        decoder.decode(frames(Codec.VP8)[0])
        assert decoder.decode(frames(Codec.H264)[1]) is None
        assert decoder.wants_keyframe


def keyframe_of(width: int, height: int, *, codec: Codec = Codec.VP8, references: int = 1) -> EncodedFrame:
    """A key frame that says it is so large, and holds nothing else."""
    if codec is Codec.VP8:
        data = b"\x10\0\0\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little")
    else:
        data = b"\0\0\0\1" + sps(width, height, references=references) + b"\0\0\0\1\x65\x88" + bytes(50)
    return EncodedFrame(codec, 0, 0, data, keyframe=True)


def sps(width: int, height: int, *, references: int) -> bytes:
    """A sequence parameter set of the constrained baseline profile (ITU-T H.264 7.3.2.1.1)."""
    numbers = [0, 0, 2, references]
    bits = "".join(_exp_golomb(number) for number in numbers) + "0"
    bits += _exp_golomb(width // 16 - 1) + _exp_golomb(height // 16 - 1) + "1" + "1" + "0" + "0" + "1"
    bits += "0" * (-len(bits) % 8)
    body = bytes((0x67, 66, 0xE0, 51)) + int(bits, 2).to_bytes(len(bits) // 8)
    return body.replace(b"\0\0\0", b"\0\0\3\0")


def _exp_golomb(number: int) -> str:
    coded = f"{number + 1:b}"
    return "0" * (len(coded) - 1) + coded


class TestLimits:
    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_a_picture_over_the_limit_never_reaches_a_decoder(
        self, codec: Codec, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("av.CodecContext.create", None)
        decoder = new_decoder()
        assert decoder.decode(keyframe_of(16_000, 16_000, codec=codec)) is None
        assert decoder.decode(keyframe_of(656, 360, codec=codec)) is None
        assert decoder.dropped == {"video_too_large": 2}
        assert decoder.wants_keyframe

    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_the_largest_that_is_allowed_is_decoded(self, codec: Codec) -> None:
        coded = frames(codec, (640, 352))
        assert new_decoder(pixels_max=640 * 352).decode(coded[0]) is not None
        assert new_decoder(pixels_max=640 * 352 - 1).decode(coded[0]) is None

    def test_references_cost_memory(self) -> None:
        decoder = new_decoder(MemoryShare(640 * 352 * 3 // 2 * 8))
        decoder.decode(keyframe_of(640, 352, codec=Codec.H264, references=16))
        assert decoder.dropped == {"video_over_memory": 1}
        assert decoder.decode(frames(Codec.H264, (640, 352))[0]) is not None

    def test_a_publisher_shares_its_memory_and_gets_it_back(self) -> None:
        coded = frames(Codec.VP8)[0]
        share = MemoryShare(round(320 * 240 * 1.5 * 5))
        first, second = new_decoder(share), new_decoder(share)
        assert first.decode(coded) is not None
        assert second.decode(coded) is None
        assert second.dropped == {"video_over_memory": 1}
        first.close()
        assert second.decode(coded) is not None

    def test_what_a_publisher_takes_is_taken_from_the_recording(self) -> None:
        whole = MemoryShare(10)
        one, other = MemoryShare(8, whole), MemoryShare(8, whole)
        assert one.take(8)
        assert not one.take(1)
        assert not other.take(3)
        assert other.take(2)
        one.give(8)
        assert other.take(6)

    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_a_smaller_picture_gives_memory_back(self, codec: Codec) -> None:
        share = MemoryShare(round(640 * 352 * 1.5 * 5))
        decoder, other = new_decoder(share), new_decoder(share)
        assert decoder.decode(frames(codec, (640, 352))[0]) is not None
        assert other.decode(frames(codec)[0]) is None
        assert decoder.decode(frames(codec)[0]) is not None
        assert other.decode(frames(codec)[0]) is not None

    def test_an_access_unit_of_countless_units_is_refused(self) -> None:
        decoder = new_decoder()
        flood = EncodedFrame(Codec.H264, 0, 0, b"\0\0\1\x09" * 1_000_000, keyframe=True)
        assert decoder.decode(flood) is None
        assert decoder.dropped == {"video_corrupt": 1}

    def test_a_stream_that_takes_too_much_time_rests(self) -> None:
        cost_ns, spent = 400_000_000, iter(range(10**6))
        decoder = new_decoder(cpu_ns=lambda: next(spent) // 2 * cost_ns + next(spent) % 2 * cost_ns)
        coded = [replace(frame, keyframe=True) for frame in frames(Codec.VP8, keyframe_every_s=0.01)]
        shown = [
            decoder.decode(replace(coded[index % 25], arrival_ns=index * 100_000_000)) is not None
            for index in range(200)
        ]
        assert all(shown[: TIME_BURST_NS // cost_ns])
        assert decoder.dropped == {"video_over_time": shown.count(False)}
        share = sum(shown) * cost_ns / (200 * 100_000_000 + TIME_BURST_NS)
        assert TIME_SHARE_MAX * 0.8 < share < TIME_SHARE_MAX * 1.2
        rest = shown[shown.index(False) :].index(True)
        assert rest >= REST_NS * 0.8 / (100_000_000 * TIME_SHARE_MAX) - 4


def speech_packets(layout: str, milliseconds: int) -> list[bytes]:
    """A tone that comes and goes, in Opus packets of that length with forward correction."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = 48_000, layout, "flt", 24_000
    encoder.options = {"fec": "1", "packet_loss": "20", "application": "voip"}
    encoder.options |= {"frame_duration": str(milliseconds)}
    samples, channels = 48 * milliseconds, encoder.channels
    at_s = np.arange(40 * samples) / 48_000
    tone = (0.3 * np.sin(2 * np.pi * 220 * at_s) * (np.sin(9 * at_s) > 0)).astype(np.float32)
    packets = []
    for start in range(0, tone.size, samples):
        block = np.repeat(tone[start : start + samples], channels)[None]
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)
        frame.sample_rate, frame.pts = 48_000, start
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


class TestSound:
    def test_packets_give_as_many_samples_as_they_say(self) -> None:
        decoder = SoundDecoder(1)
        for packet in opus_packets(1.0, (0.2,)):
            samples = decoder.decode(packet)
            assert samples is not None
            assert samples.shape == (1, packet_samples(packet)) == (1, 960)

    def test_a_lost_packet_is_concealed_with_its_forward_correction(self) -> None:
        at = 20
        packets = opus_packets(1.0, tuple(i * 0.08 for i in range(12)), fec=True)  # one long tone
        whole, lossy = SoundDecoder(1), SoundDecoder(1)
        expected = [whole.decode(packet) for packet in packets]
        for packet in packets[:at]:
            lossy.decode(packet)
        bridge = lossy.bridge(960, packets[at + 1])
        assert bridge.shape == (1, 960)
        original = expected[at]
        assert original is not None
        assert np.std(bridge) > 0.5 * np.std(original)
        assert lossy.concealed_samples == 960
        assert lossy.dropped["audio_concealed_samples"] == 0

    def test_what_no_correction_brings_is_counted_as_made_up(self) -> None:
        packets = opus_packets(1.0, tuple(i * 0.08 for i in range(12)))
        decoder = SoundDecoder(1)
        decoder.decode(packets[0])
        decoder.bridge(960, packets[2])
        assert decoder.dropped["audio_concealed_samples"] == 960

    @pytest.mark.parametrize("layout", ["mono", "stereo"])
    @pytest.mark.parametrize("milliseconds", [10, 20, 40])
    def test_correction_is_told_as_libopus_tells_it(self, layout: str, milliseconds: int) -> None:
        library = ctypes.CDLL(library_path())
        packets = speech_packets(layout, milliseconds)
        if not hasattr(library, "opus_packet_has_lbrr"):
            pytest.skip("this libopus does not tell")
        tells = [bool(library.opus_packet_has_lbrr(packet, len(packet))) for packet in packets]
        assert any(tells)
        assert [carries_correction(packet) for packet in packets] == tells

    @pytest.mark.parametrize("missing", [1, 119, 120, 2880, 5760, 48_000])
    def test_a_bridge_is_never_longer_than_the_loss(self, missing: int) -> None:
        packets = opus_packets(1.0, ())
        decoder = SoundDecoder(1)
        decoder.decode(packets[0])
        length = decoder.bridge(missing, packets[1]).shape[1]
        assert length == min(missing, CONCEALED_SAMPLES_MAX) // 120 * 120

    @pytest.mark.parametrize("data", [b"", b"\xff", b"\x03\x00", b"\xfb\x3f\xff"])
    def test_garbage_is_counted(self, data: bytes) -> None:
        decoder = SoundDecoder(1)
        assert decoder.decode(data) is None
        assert decoder.dropped == {"audio_corrupt": 1}

    def test_stereo_is_mixed_down_by_the_decoder(self) -> None:
        samples = SoundDecoder(2).decode(opus_packets(1.0, (0.0,))[1])
        assert samples is not None
        assert samples.shape == (2, 960)
        assert np.allclose(samples[0], samples[1])
