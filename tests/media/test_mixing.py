import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.audio.mixer import (
    AHEAD_SAMPLES_MAX,
    DRIFT_TOLERATED_SAMPLES,
    FADE_SAMPLES,
    LIMIT_KNEE,
    RESYNC_SAMPLES,
    Mix,
    MixerInput,
)
from media.audio.resampler import stretched


def ones(count: int, value: float = 0.25) -> np.ndarray:
    return np.full((1, count), value, dtype=np.float32)


def tone(start: int, count: int, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(start, start + count) / 48_000))[None].astype(np.float32)


class TestMix:
    def test_sources_add_up_and_what_nobody_filled_is_silence(self) -> None:
        mix = Mix(1)
        mix.add(10, ones(20))
        mix.add(20, ones(20))
        out = mix.read(50)[0]
        assert out[:10].tolist() == [0] * 10
        assert np.allclose(out[10:20], 0.25)
        assert np.allclose(out[20:30], 0.5)
        assert np.allclose(out[30:40], 0.25)
        assert not out[40:].any()

    def test_what_comes_after_reading_is_said_not_to_fit(self) -> None:
        mix = Mix(1)
        mix.read(100)
        assert mix.add(50, ones(80)) == 50
        assert np.allclose(mix.read(130)[0], 0.25)

    def test_too_far_ahead_does_not_fit_either(self) -> None:
        assert Mix(1).add(AHEAD_SAMPLES_MAX - 10, ones(30)) == 20

    def test_reading_backwards_or_too_much_is_refused(self) -> None:
        mix = Mix(1)
        mix.read(10)
        with pytest.raises(ValueError, match="cannot read"):
            mix.read(9)
        with pytest.raises(ValueError, match="cannot read"):
            mix.read(11 + AHEAD_SAMPLES_MAX)

    def test_the_limiter_leaves_quiet_alone_and_keeps_loud_below_full_scale(self) -> None:
        mix = Mix(1)
        mix.add(0, np.array([[0.5, -LIMIT_KNEE, 3.0, -3.0]], dtype=np.float32))
        out = mix.read(4)[0]
        assert out[:2] == pytest.approx([0.5, -LIMIT_KNEE])
        assert 0.9 < out[2] <= 1.0
        assert out[3] == -out[2]

    @given(st.lists(st.integers(1, 3000), min_size=1, max_size=12), st.randoms(use_true_random=False))
    @settings(deadline=None)
    def test_the_same_whatever_the_order_of_adding_and_the_size_of_reads(
        self, reads: list[int], random
    ) -> None:
        pieces = [(random.randrange(0, 20_000), tone(index, 960)) for index in range(8)]
        total = sum(reads)
        one = Mix(1)
        for start, piece in pieces:
            one.add(start, piece)
        whole = one.read(total)
        other = Mix(1)
        for start, piece in reversed(pieces):
            other.add(start, piece)
        until, parts = 0, []
        for count in reads:
            until += count
            parts.append(other.read(until))
        assert np.allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)


class TestVoice:
    def feed(
        self, wanted: list[int], rtp: list[int] | None = None, length: int = 960
    ) -> tuple[np.ndarray, MixerInput]:
        mix = Mix(1)
        voice = MixerInput(mix)
        out = []
        for index, at in enumerate(wanted):
            if at + 2 * length - mix.position > AHEAD_SAMPLES_MAX:
                out.append(mix.read(at - length))
            voice.put(index * length if rtp is None else rtp[index], at, ones(length))
        out.append(mix.read(mix.position + AHEAD_SAMPLES_MAX))
        return np.concatenate(out, axis=1)[0], voice

    def test_consecutive_packets_join_to_the_sample(self) -> None:
        out, voice = self.feed([1000 + 960 * i for i in range(5)])
        assert np.flatnonzero(out)[[0, -1]].tolist() == [1001, 1000 + 4800 - 1]  # the fade begins at zero
        assert np.allclose(out[1000 + FADE_SAMPLES : 1000 + 4800], 0.25)
        assert not voice.dropped

    def test_small_disagreement_is_left_alone(self) -> None:
        out, voice = self.feed([1000 + 960 * i + (i % 2) * 90 for i in range(6)])
        assert voice.stretched_samples == 0
        assert np.flatnonzero(out)[-1] == 1000 + 6 * 960 - 1

    def test_drift_is_worked_off_without_a_hole(self) -> None:
        wanted = [1000 + round(960 * i * 1.0004) for i in range(400)]  # 400 ppm
        out, voice = self.feed(wanted)
        filled = np.flatnonzero(out)
        assert abs(filled[-1] - (wanted[-1] + 960)) < 200
        assert np.allclose(out[1000 + FADE_SAMPLES : filled[-1]], 0.25, atol=1e-3)
        assert voice.stretched_samples > 50

    @given(st.floats(-100, 100), st.integers(0, 48), st.integers(0, 10**6))
    @settings(max_examples=20, deadline=None)
    def test_whatever_the_drift_and_its_tremble_nothing_is_missing_twice_or_late(
        self, skew_ppm: float, tremble: int, seed: int
    ) -> None:
        mix, chance = Mix(1), np.random.default_rng(seed)
        voice = MixerInput(mix)
        heard = []
        for number in range(1500):  # half a minute
            at = number * 960
            wanted = round(at * (1 + skew_ppm * 1e-6)) + int(chance.integers(-tremble, tremble + 1))
            voice.put(at, max(0, wanted), ones(960))
            heard.append(mix.read(max(mix.position, at - 4_800)))
        heard.append(mix.read(mix.position + 9_600))
        sound = np.concatenate(heard, axis=1)[0, FADE_SAMPLES + tremble :]
        end = int(np.flatnonzero(sound)[-1]) + 1 + FADE_SAMPLES + tremble
        assert np.allclose(sound[: end - FADE_SAMPLES - tremble], 0.25, atol=1e-5)
        assert abs(end - 1500 * 960 * (1 + skew_ppm * 1e-6)) <= DRIFT_TOLERATED_SAMPLES + tremble
        assert not voice.dropped

    def test_a_voice_behind_its_timeline_says_where_it_will_begin(self) -> None:
        voice = MixerInput(Mix(1))
        assert voice.earliest(0, 1000) == 1000
        voice.put(0, 1000, ones(960))
        assert voice.earliest(960, 1990) == 1960
        assert voice.earliest(960, 1950) == 1950
        assert voice.earliest(960, 1960 + RESYNC_SAMPLES) == 1960 + RESYNC_SAMPLES

    def test_a_hole_in_the_timestamps_is_a_hole_in_the_output(self) -> None:
        out, _ = self.feed([1000, 1000 + 1920], rtp=[0, 1920])
        assert not out[1960:2920].any()
        assert out[3879] == pytest.approx(0.25)

    def test_a_repeated_packet_is_heard_once(self) -> None:
        out, voice = self.feed([1000, 1960, 1960], rtp=[0, 960, 960])
        assert out.max() == pytest.approx(0.25)
        assert voice.dropped["audio_repeated_samples"] == 960

    def test_a_moved_timeline_is_followed_at_once(self) -> None:
        out, _ = self.feed([1000, 1960 + RESYNC_SAMPLES], rtp=[0, 960])
        assert not out[1960 : 1960 + RESYNC_SAMPLES].any()
        assert out[1960 + RESYNC_SAMPLES + 500] == pytest.approx(0.25)

    def test_a_timeline_moved_back_overlaps_nothing(self) -> None:
        out, voice = self.feed([6000, 6960 - RESYNC_SAMPLES], rtp=[0, 960])
        assert out.max() == pytest.approx(0.25)
        assert voice.dropped["audio_overlapping_samples"] == 960

    @given(
        st.lists(
            st.tuples(st.integers(-3000, 6000), st.integers(-6000, 6000), st.sampled_from([120, 960, 2880])),
            max_size=40,
        )
    )
    @settings(deadline=None)
    def test_no_sample_is_ever_placed_twice(self, packets: list[tuple[int, int, int]]) -> None:
        mix = Mix(1)
        voice = MixerInput(mix)
        rtp = wanted = 10_000
        for gap, error, length in packets:
            rtp, wanted = rtp + gap, wanted + gap
            voice.put(rtp, wanted + error, ones(length))
            rtp, wanted = rtp + length, wanted + length
            out = mix.read(max(mix.position, wanted - 20_000))
            assert out.size == 0 or out.max() < 0.26
        assert mix.read(mix.position + AHEAD_SAMPLES_MAX).max() < 0.26


class TestStretching:
    @given(st.integers(60, 5760), st.integers(-6, 6))
    @settings(deadline=None)
    def test_exact_length_and_fixed_ends(self, length: int, stretch: int) -> None:
        samples = tone(7, length)
        out = stretched(samples, stretch)
        assert out.shape == (1, length + stretch)
        assert out.dtype == np.float32
        assert out[0, 0] == pytest.approx(samples[0, 0], abs=1e-6)
        assert out[0, -1] == pytest.approx(samples[0, -1], abs=1e-6)

    def test_a_tone_stays_a_tone(self) -> None:
        out = stretched(tone(0, 960, hz=1000.0), 5)
        exact = 0.5 * np.sin(2 * np.pi * 1000.0 * np.linspace(0, 959, 965) / 48_000)
        assert np.abs(out[0] - exact).max() < 2e-3
