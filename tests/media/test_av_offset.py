"""The detector measures right: on arrays, and on files muxed with offsets that are known."""

import io
import math

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.check.av_offset import AvOffset, Region, measure
from media.check.onsets import beep_times, flash_times, paired_offsets
from media.isobmff import Sample
from tests.support.flash_beep import AUDIO_RATE, FlashBeep, find, live_tracks
from tests.support.muxing import encode_audio, encode_video, mux

SECONDS = 6
SOUND_ERROR_S = 0.003
HALF_A_PICTURE_S = 0.02


def recorded(source: FlashBeep) -> bytes:
    pictures = (source.picture(number) for number in range(SECONDS * source.fps))
    return mux(encode_video(pictures), encode_audio(source.sound(0, SECONDS * AUDIO_RATE))).data


@pytest.mark.parametrize("delay_s", [-0.08, 0.0, 0.12])
@pytest.mark.parametrize("first_s", [0.5, 0.517])
def test_a_known_offset_is_found_in_a_file(delay_s: float, first_s: float) -> None:
    source = FlashBeep(first_s=first_s, beep_delay_s=delay_s)
    found = find(io.BytesIO(recorded(source)))
    events_s = source.events_s(SECONDS)

    assert found.flashes_s == pytest.approx(events_s, abs=HALF_A_PICTURE_S)
    assert found.beeps_s == pytest.approx([at_s + delay_s for at_s in events_s], abs=SOUND_ERROR_S)
    assert found.offsets_s == pytest.approx([delay_s] * SECONDS, abs=0.006)
    assert found.median_s == pytest.approx(delay_s, abs=0.006)
    assert found.p50_s <= found.p95_s <= found.max_s <= abs(delay_s) + 0.006


def test_two_participants_of_a_composite_are_told_apart() -> None:
    left, right = Region(0, 0, 160, 240), Region(160, 0, 160, 240)
    first = FlashBeep(region=left, colour=(255, 255, 80), beep_delay_s=0.05)
    second = FlashBeep(region=right, hertz=1700.0, first_s=0.8, beep_delay_s=-0.04)
    pictures = (
        np.concatenate([first.picture(number)[:, :160], second.picture(number)[:, 160:]], axis=1)
        for number in range(SECONDS * 25)
    )
    sound = first.sound(0, SECONDS * AUDIO_RATE) + second.sound(0, SECONDS * AUDIO_RATE)
    file = io.BytesIO(mux(encode_video(pictures), encode_audio(sound)).data)

    for source, region in ((first, left), (second, right)):
        found = measure(file, region=region, hertz=source.hertz)
        assert found.flashes_s == pytest.approx(source.events_s(SECONDS), abs=HALF_A_PICTURE_S)
        assert found.offsets_s == pytest.approx([source.beep_delay_s] * SECONDS, abs=0.006)


@given(first_s=st.floats(0.1, 0.9), fps=st.sampled_from([10, 15, 25, 30]), noise=st.integers(0, 2**32 - 1))
def test_a_flash_is_found_within_its_picture(first_s: float, fps: int, noise: int) -> None:
    source = FlashBeep(width=32, height=32, fps=fps, first_s=first_s, length_s=3 / fps)
    brightness = np.array([source.picture(number).mean() for number in range(4 * fps)])
    brightness += np.random.default_rng(noise).normal(0, 1, len(brightness))
    found = flash_times(np.arange(4 * fps) / fps, brightness)
    assert found == pytest.approx(source.events_s(4), abs=0.15 / fps)


@given(first_s=st.floats(0.1, 0.9), hertz=st.sampled_from([700.0, 1000.0, 1700.0]), noise=st.integers(0, 99))
def test_a_beep_is_found_in_noise(first_s: float, hertz: float, noise: int) -> None:
    source = FlashBeep(first_s=first_s, hertz=hertz)
    sound = source.sound(0, 3 * AUDIO_RATE)
    sound = sound + np.random.default_rng(noise).normal(0, 0.02, len(sound)).astype(np.float32)
    assert beep_times(sound, AUDIO_RATE, hertz=hertz) == pytest.approx(source.events_s(3), abs=0.0015)


def test_where_nothing_flashes_or_beeps_nothing_is_found() -> None:
    times_s = np.arange(100) / 25
    noise = np.random.default_rng(1).normal(100, 3, 100)
    assert flash_times(times_s, noise) == []
    assert flash_times(times_s[:1], noise[:1]) == []
    assert beep_times(np.zeros(AUDIO_RATE, np.float32), AUDIO_RATE) == []
    assert beep_times(np.zeros(10, np.float32), AUDIO_RATE) == []
    hiss = np.random.default_rng(1).normal(0, 0.1, AUDIO_RATE).astype(np.float32)
    assert beep_times(hiss, AUDIO_RATE) == []
    other = FlashBeep(hertz=1700.0).sound(0, 2 * AUDIO_RATE)
    assert beep_times(other, AUDIO_RATE, hertz=1000.0) == []


def test_sound_with_a_hole_keeps_its_times() -> None:
    source = FlashBeep()
    track, samples = encode_audio(source.sound(0, 4 * AUDIO_RATE))
    hole = [*samples[:94], Sample(samples[94].data, 1024 * 3, True), *samples[97:]]
    found = find(io.BytesIO(mux(None, (track, hole)).data))
    assert found.beeps_s == pytest.approx(source.events_s(4), abs=SOUND_ERROR_S)
    assert found.flashes_s == [] and found.offsets_s == []
    assert math.isnan(found.median_s) and math.isnan(found.p95_s)


def test_pairs_are_the_nearest_and_never_far_apart() -> None:
    assert paired_offsets([1.0, 2.0, 5.0], [0.9, 2.2, 2.1]) == pytest.approx([-0.1, 0.1])
    assert paired_offsets([1.0], []) == []


def test_distances_are_absolute_and_the_median_is_signed() -> None:
    found = AvOffset([], [], [-0.03, -0.02, -0.01])
    assert (found.median_s, found.p50_s, found.max_s) == (-0.02, 0.02, 0.03)


def test_what_is_no_media_is_refused() -> None:
    with pytest.raises(av.FFmpegError):
        measure(io.BytesIO(b"no media at all"))


async def test_live_tracks_share_a_clock_and_carry_the_same_events() -> None:
    source = FlashBeep(fps=50, first_s=0.04, interval_s=0.1, length_s=0.04)
    flashes, beeps = live_tracks(source)
    pictures = [await flashes.recv() for _ in range(5)]
    sounds = [await beeps.recv() for _ in range(5)]
    assert [frame.pts for frame in pictures] == [0, 1800, 3600, 5400, 7200]
    assert [frame.pts for frame in sounds] == [0, 960, 1920, 2880, 3840]
    lit = [frame.to_ndarray(format="gray").mean() > 150 for frame in pictures]
    loud = [np.abs(frame.to_ndarray()).max() > 10_000 for frame in sounds]
    assert lit == loud == [False, False, True, True, False]
