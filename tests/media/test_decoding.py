from dataclasses import replace

import numpy as np
import pytest

from media.audio.opus import packet_samples
from media.handover.encoded_frame import Codec, EncodedFrame
from media.video.decoder import CONCEALED_SAMPLES_MAX, PictureDecoder, SoundDecoder
from tests.support.encoded_source import opus_packets, video_frames


def frames(codec: Codec, size: tuple[int, int] = (320, 240), **options: object) -> list[EncodedFrame]:
    coded = video_frames(codec, size, 25, 1.0, (), moving=True, **options)
    return [EncodedFrame(codec, index * 3600, 0, data, key) for index, (data, key) in enumerate(coded)]


class TestPictures:
    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_every_frame_gives_its_picture_at_once(self, codec: Codec) -> None:
        decoder = PictureDecoder()
        pictures = [decoder.decode(frame) for frame in frames(codec)]
        assert all(picture is not None and picture.format.name == "yuv420p" for picture in pictures)
        assert not decoder.dropped

    def test_nothing_comes_before_a_key_frame(self) -> None:
        decoder = PictureDecoder()
        coded = frames(Codec.VP8)
        assert decoder.decode(coded[1]) is None
        assert decoder.wants_keyframe
        assert decoder.decode(coded[0]) is not None
        assert not decoder.wants_keyframe
        assert decoder.dropped == {"video_without_keyframe": 1}

    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_after_a_loss_the_last_good_picture_stays_until_a_key_frame(self, codec: Codec) -> None:
        decoder = PictureDecoder()
        coded = frames(codec, keyframe_every_s=0.4)
        coded[5] = replace(coded[5], after_loss=True)
        shown = [decoder.decode(frame) is not None for frame in coded]
        assert shown[:5] == [True] * 5
        assert shown[5:10] == [False] * 5
        assert all(shown[10:])

    @pytest.mark.parametrize("codec", [Codec.VP8, Codec.H264])
    def test_garbage_costs_pictures_and_nothing_else(self, codec: Codec) -> None:
        decoder = PictureDecoder()
        coded = frames(codec)
        noise = np.random.default_rng(1).bytes(900)
        for data in (b"", b"\0", noise, b"\0\0\0\1" + noise):
            decoder.decode(replace(coded[0], data=data))
        assert decoder.decode(coded[0]) is not None
        assert sum(decoder.dropped.values()) == 4

    def test_size_and_codec_may_change_at_any_key_frame(self) -> None:
        decoder = PictureDecoder()
        parts = [frames(Codec.VP8), frames(Codec.VP8, (640, 360)), frames(Codec.H264), frames(Codec.VP8)]
        sizes = [
            (picture.width, picture.height)
            for part in parts
            for frame in part
            if (picture := decoder.decode(frame)) is not None
        ]
        assert sizes == [(320, 240)] * 25 + [(640, 360)] * 25 + [(320, 240)] * 50

    def test_a_new_codec_needs_its_own_key_frame(self) -> None:
        decoder = PictureDecoder()
        decoder.decode(frames(Codec.VP8)[0])
        assert decoder.decode(frames(Codec.H264)[1]) is None
        assert decoder.wants_keyframe


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
