"""What the encoders give, seen through a decoder and through the boxes of an MP4."""

import io
from collections.abc import Iterator

import av
import numpy as np
import numpy.typing as npt
import pytest

from media.audio.encoder import AAC_FRAME_SAMPLES, AudioEncoder, EncodedSound
from media.isobmff import AudioTrack, Sample, TrackRun, VideoTrack, init_segment, media_fragment
from media.isobmff.avc import parameter_sets
from media.video.anamorphic_scaler import coded_width
from media.video.encoder import (
    HASTY_PARAMETERS,
    NARROW_DIVISOR,
    VBV_BUFFER_S,
    VIDEO_TIMESCALE,
    X264_PARAMETERS,
    EncodedPicture,
    VideoEncoder,
    video_context,
)
from media.video.scaler import Picture, Scaler, new_picture, planes
from recorder.kernel.errors import BystanderError
from recorder.kernel.media import Canvas
from tests.support.similarity import ssim

CANVAS = Canvas(width=320, height=180)
FRAME = VIDEO_TIMESCALE // 25


def scene(shift: int, canvas: Canvas = CANVAS) -> Picture:
    """Smooth shapes that move with `shift`: something to predict and something to code."""
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width]
    picture = new_picture(canvas.width, canvas.height)
    luma, *chroma = planes(picture)
    luma[:] = (126 + 60 * np.sin((columns + 3 * shift) / 17) + 40 * np.cos((rows - shift) / 11)).astype(
        np.uint8
    )
    for plane, value in zip(chroma, (110, 150), strict=True):
        plane[:] = value
    return picture


def encoder(canvas: Canvas = CANVAS, *, crf: int = 28, bitrate_max: int = 2_500_000) -> VideoEncoder:
    return VideoEncoder(canvas, crf=crf, bitrate_max=bitrate_max)


def encode(coder: VideoEncoder, times: list[int], keyframes: set[int]) -> list[EncodedPicture]:
    pictures = [
        coded
        for n, pts in enumerate(times)
        for coded in coder.encode(scene(n), pts, force_keyframe=n in keyframes)
    ]
    return pictures + coder.flush()


def decode(coder: VideoEncoder, pictures: list[EncodedPicture]) -> list[Picture]:
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = coder.avcc
    packets = []
    for picture in pictures:
        packet = av.Packet(picture.data)
        packet.pts = packet.dts = picture.pts
        packets.append(packet)
    return [frame for packet in (*packets, None) for frame in decoder.decode(packet)]


def nal_types(picture: EncodedPicture) -> Iterator[int]:
    data = memoryview(picture.data)
    while data:
        length = int.from_bytes(data[:4])
        yield data[4] & 31
        data = data[4 + length :]


class TestPictures:
    def test_avcc_is_a_decoder_configuration_with_four_byte_lengths(self) -> None:
        avcc = encoder().avcc
        assert avcc[0] == 1 and avcc[4] & 3 == 3
        sequence, picture = parameter_sets(avcc)
        assert [unit[0] & 31 for unit in (*sequence, *picture)] == [7, 7, 8, 8]
        assert avcc[1:4] == sequence[0][1:4]  # profile and level are repeated
        assert avcc[1] == sequence[1][1] and avcc[3] >= sequence[1][3]  # and hold for narrow pictures

    def test_key_frames_stand_where_forced_and_nowhere_else(self) -> None:
        coder = encoder()
        pictures = encode(coder, [n * FRAME for n in range(300)], {0, 50, 51, 200})
        assert [n for n, picture in enumerate(pictures) if picture.keyframe] == [0, 50, 51, 200]
        assert all((5 in nal_types(picture)) == picture.keyframe for picture in pictures)

    def test_a_cut_to_another_scene_makes_no_key_frame(self) -> None:
        coder = encoder()
        random = np.random.default_rng(1)
        pictures = []
        for n in range(6):
            picture = new_picture(CANVAS.width, CANVAS.height)
            for plane in planes(picture):
                plane[:] = random.integers(0, 256, plane.shape)
            pictures += coder.encode(picture, n * FRAME, force_keyframe=n == 0)
        assert [picture.keyframe for picture in pictures + coder.flush()] == [True, *[False] * 5]

    def test_times_are_kept_in_order_whatever_the_frame_rate(self) -> None:
        times = [0, 3600, 7200, 90_000, 93_600, 300_000, 300_001, 10 * 90_000]
        assert [picture.pts for picture in encode(encoder(), times, {0})] == times

    def test_one_picture_of_delay_and_no_more(self) -> None:
        coder = encoder()
        assert coder.encode(scene(0), 0, force_keyframe=True) == []
        for n in range(1, 40):
            assert [one.pts for one in coder.encode(scene(n), n * FRAME, force_keyframe=False)] == [
                (n - 1) * FRAME
            ]
        assert [one.pts for one in coder.flush()] == [39 * FRAME]

    def test_a_picture_painted_over_after_encoding_is_recorded_as_it_was(self) -> None:
        coder, canvas, sent, pictures = encoder(crf=18), scene(0), [], []
        for n in range(10):
            for plane, source in zip(planes(canvas), planes(scene(5 * n)), strict=True):
                plane[:] = source
            sent.append(planes(canvas).y.copy())
            pictures += coder.encode(canvas, n * FRAME, force_keyframe=n == 0)
            for plane in planes(canvas):
                plane[:] = 0
        for original, decoded in zip(sent, decode(coder, pictures + coder.flush()), strict=True):
            assert ssim(original, planes(decoded).y) > 0.97

    def test_colours_are_tagged_as_they_are(self) -> None:
        coder = encoder()
        (decoded, *_) = decode(coder, encode(coder, [0, FRAME], {0}))
        tags = decoded.colorspace, decoded.color_primaries, decoded.color_trc, decoded.color_range
        assert tags == (6, 6, 6, 1)  # SMPTE 170M (BT.601), limited range
        assert abs(int(planes(decoded).u.mean()) - 110) <= 1 and abs(int(planes(decoded).v.mean()) - 150) <= 1

    def test_the_rate_stays_under_its_cap(self) -> None:
        coder = encoder(crf=10, bitrate_max=300_000)
        random = np.random.default_rng(2)
        pictures = []
        for n in range(250):
            picture = scene(n)
            planes(picture).y[:] += random.integers(0, 30, planes(picture).y.shape, dtype=np.uint8)
            pictures += coder.encode(picture, n * FRAME, force_keyframe=n % 50 == 0)
        bits = 8 * sum(len(picture.data) for picture in pictures + coder.flush())
        assert bits <= 300_000 * (10 + VBV_BUFFER_S)

    def test_a_still_canvas_costs_next_to_nothing_between_key_frames(self) -> None:
        coder, still, pictures = encoder(), scene(0), []
        for second in range(10):
            pictures += coder.encode(still, second * VIDEO_TIMESCALE, force_keyframe=second == 0)
        assert sum(len(picture.data) for picture in (pictures + coder.flush())[1:]) < 9 * 50

    def test_times_that_stand_still_are_refused(self) -> None:
        coder = encoder()
        coder.encode(scene(0), 100, force_keyframe=True)
        with pytest.raises(BystanderError, match="pictures_out_of_order"):
            coder.encode(scene(1), 100, force_keyframe=False)


Samples = npt.NDArray[np.float32]


def muxed(coder: AudioEncoder, sounds: list[EncodedSound], channels: int) -> bytes:
    track = AudioTrack(1, 48_000, channels, coder.asc)
    run = TrackRun(1, 0, [Sample(sound.data, sound.duration, True) for sound in sounds])
    return init_segment([track], reserved_bytes=0) + media_fragment(1, [run])


def heard(file: bytes) -> Samples:
    with av.open(io.BytesIO(file), "r") as container:
        frames = list(container.decode(audio=0))
    assert frames[0].pts == 0
    return np.concatenate([frame.to_ndarray() for frame in frames], axis=1)


def spoken(coder: AudioEncoder, samples: Samples, step: int) -> list[EncodedSound]:
    sounds = [
        sound
        for start in range(0, samples.shape[1], step)
        for sound in coder.encode(samples[:, start : start + step])
    ]
    return sounds + coder.flush()


class TestSound:
    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("step", [960, 1024, 333, 48_000])
    def test_a_click_is_found_where_it_was_put(self, channels: int, step: int) -> None:
        coder = AudioEncoder(channels=channels, bitrate=64_000)
        samples = np.zeros((channels, 48_000), np.float32)
        clicks = [2_000, 20_000, 40_111]
        samples[:, clicks] = 0.9
        decoded = np.abs(heard(muxed(coder, spoken(coder, samples, step), channels)))
        for click in clicks:
            around = decoded[0, click - 2000 : click + 2000]
            assert abs(int(around.argmax()) - 2000) <= 2

    def test_a_tone_keeps_its_phase_and_level(self) -> None:
        coder = AudioEncoder(channels=1, bitrate=64_000)
        tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)[None]
        decoded = heard(muxed(coder, spoken(coder, tone, 960), 1))
        assert np.abs(decoded[0, 2048:46_000] - tone[0, 2048:46_000]).max() < 0.05  # a tenth of the amplitude

    def test_frames_follow_each_other_from_zero_and_cover_all_samples(self) -> None:
        coder = AudioEncoder(channels=2, bitrate=64_000)
        sounds = spoken(coder, np.zeros((2, 10_000), np.float32), 960)
        assert [sound.pts for sound in sounds] == [n * AAC_FRAME_SAMPLES for n in range(len(sounds))]
        assert 10_000 <= sounds[-1].pts + sounds[-1].duration < 10_000 + 2 * AAC_FRAME_SAMPLES

    def test_speech_like_noise_costs_the_bitrate_that_was_asked_for(self) -> None:
        coder = AudioEncoder(channels=1, bitrate=64_000)
        noise = np.random.default_rng(3).uniform(-0.3, 0.3, (1, 480_000)).astype(np.float32)
        size = sum(len(sound.data) for sound in spoken(coder, noise, 960))
        assert 0.85 * 80_000 <= size <= 1.05 * 80_000

    def test_nothing_in_nothing_out(self) -> None:
        assert AudioEncoder(channels=1, bitrate=64_000).encode(np.zeros((1, 0), np.float32)) == []

    def test_three_channels_are_refused(self) -> None:
        with pytest.raises(ValueError, match="one channel or two"):
            AudioEncoder(channels=3, bitrate=64_000)


def test_pictures_and_their_durations_survive_the_container() -> None:
    coder = encoder()
    pictures = encode(coder, [0, 3600, 90_000], {0})
    track = VideoTrack(1, VIDEO_TIMESCALE, CANVAS.width, CANVAS.height, coder.avcc)
    durations = (3600, 86_400, 3600)
    run = TrackRun(
        1,
        0,
        [
            Sample(picture.data, duration, picture.keyframe)
            for picture, duration in zip(pictures, durations, strict=True)
        ],
    )
    file = init_segment([track], reserved_bytes=0) + media_fragment(1, [run])
    with av.open(io.BytesIO(file), "r") as container:
        frames = list(container.decode(video=0))

    assert [frame.pts for frame in frames] == [0, 3600, 90_000]
    assert all(ssim(planes(frame).y, planes(scene(n)).y) > 0.95 for n, frame in enumerate(frames))


class TestHaste:
    def test_another_x264_takes_over_at_a_key_frame_under_the_same_parameter_sets(self) -> None:
        coder = encoder()
        avcc, pictures = coder.avcc, []
        for n in range(30):
            coder.set_effort(thorough=not 8 <= n < 19)
            pictures += coder.encode(scene(n), n * FRAME, force_keyframe=n % 10 == 0)
        pictures += coder.flush()
        assert [picture.pts for picture in pictures] == [n * FRAME for n in range(30)]
        assert [n for n, picture in enumerate(pictures) if picture.keyframe] == [0, 10, 20]
        assert coder.avcc == avcc
        shown = decode(coder, pictures)
        assert len(shown) == 30
        assert min(ssim(planes(scene(n)).y, planes(picture).y) for n, picture in enumerate(shown)) > 0.9

    @pytest.mark.parametrize(
        "size", [(64, 64), (640, 480), (854, 480), (1280, 720), (1920, 1080), (3840, 2160)]
    )
    @pytest.mark.parametrize("divisor", [1, NARROW_DIVISOR])
    def test_no_size_of_canvas_changes_them(self, size: tuple[int, int], divisor: int) -> None:
        canvas = Canvas(width=size[0], height=size[1])
        thorough, hasty = (
            video_context(canvas, crf=33, bitrate_max=2_500_000, parameters=parameters, divisor=divisor)
            for parameters in (X264_PARAMETERS, HASTY_PARAMETERS)
        )
        assert hasty.extradata == thorough.extradata


class TestNarrow:
    """Half the columns, shown at the full width."""

    def changing(self, *, keyframes: set[int]) -> tuple[VideoEncoder, list[EncodedPicture]]:
        coder, scaler, pictures, width = encoder(), Scaler(), [], CANVAS.width
        for n in range(30):
            coder.set_effort(divisor=NARROW_DIVISOR if 8 <= n < 19 else 1)
            width = coder.width if n in keyframes else width
            picture = scaler.scale(scene(n), width, CANVAS.height)
            pictures += coder.encode(picture, n * FRAME, force_keyframe=n in keyframes)
        return coder, pictures + coder.flush()

    def test_another_x264_takes_over_at_a_key_frame_under_the_second_parameter_sets(self) -> None:
        coder, pictures = self.changing(keyframes={0, 10, 20})
        assert [picture.pts for picture in pictures] == [n * FRAME for n in range(30)]
        shown = decode(coder, pictures)
        assert [picture.width for picture in shown] == [320] * 10 + [160] * 10 + [320] * 10
        scaler = Scaler()
        for n, picture in enumerate(shown):
            assert ssim(planes(scene(n)).y, planes(scaler.scale(picture, 320, 180)).y) > 0.9

    def test_every_key_frame_can_be_the_first_that_a_player_decodes(self) -> None:
        coder, pictures = self.changing(keyframes={0, 10, 20})
        assert [picture.width for picture in decode(coder, pictures[10:])] == [160] * 10 + [320] * 10
        assert [picture.width for picture in decode(coder, pictures[20:] + pictures[:12])] == [320] * 20 + [
            160
        ] * 2

    def test_nothing_is_in_the_pictures_but_slices(self) -> None:
        _, pictures = self.changing(keyframes={0, 10, 20})
        assert {kind for picture in pictures for kind in nal_types(picture)} <= {1, 5, 6}

    @pytest.mark.parametrize(
        ("width", "narrow"), [(1280, 640), (854, 428), (1278, 640), (64, 32), (66, 34), (2, 2)]
    )
    def test_pixels_are_as_wide_as_there_are_fewer(self, width: int, narrow: int) -> None:
        assert coded_width(width, NARROW_DIVISOR) == narrow
        canvas = Canvas(width=width, height=64)
        coder = video_context(canvas, crf=33, bitrate_max=2_500_000, divisor=NARROW_DIVISOR)
        assert coder.width * (coder.sample_aspect_ratio or 0) == width

    def test_a_picture_of_another_width_is_refused(self) -> None:
        coder = encoder()
        with pytest.raises(BystanderError, match="picture_width"):
            coder.encode(scene(0, Canvas(width=160, height=180)), 0, force_keyframe=True)


def test_nothing_in_the_media_names_its_coders() -> None:
    video, audio = (
        VideoEncoder(CANVAS, crf=33, bitrate_max=2_500_000),
        AudioEncoder(channels=1, bitrate=64_000),
    )
    picture = av.VideoFrame(CANVAS.width, CANVAS.height, "yuv420p")
    coded = video.encode(picture, 0, force_keyframe=True) + video.encode(picture, 3600, force_keyframe=False)
    video.set_effort(thorough=False)
    coded += video.encode(picture, 7200, force_keyframe=True) + video.flush()
    sound = audio.encode(np.zeros((1, 4096), dtype=np.float32)) + audio.flush()
    data = video.avcc + audio.asc + b"".join(part.data for part in (*coded, *sound))
    assert not [name for name in (b"x264", b"Lavc", b"options", b"cabac") if name in data]
    assert len(coded) == 3
