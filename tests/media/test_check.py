"""`bystander check`: whole files pass, every damage is named, and nothing makes it fail with a traceback."""

import io
import subprocess
from collections.abc import Callable
from functools import cache
from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.check.file import check_file, main, render
from media.check.report import PROBLEMS_MAX, Problems
from media.isobmff import Sample, TrackRun, media_fragment
from media.isobmff.boxes import box
from tests.support import muxing
from tests.support.muxing import Muxed


@cache
def good() -> Muxed:
    return muxing.sample_file(3.0)


def codes(data: bytes) -> list[str]:
    return [problem.code for problem in check_file(io.BytesIO(data)).problems]


def test_a_whole_recording_is_whole() -> None:
    report = check_file(io.BytesIO(good().data))
    video, audio = report.tracks
    assert report.ok and report.fragmented and not report.indexed
    assert (report.fragments, report.whole_until) == (3, len(good().data))
    assert (video.codec, video.width, video.height, video.samples, video.decoded) == (
        "avc1",
        160,
        120,
        75,
        75,
    )
    assert (audio.codec, audio.channels, audio.sample_rate) == ("mp4a", 1, 48_000)
    assert audio.samples == audio.decoded == 140
    assert video.decode_errors == audio.decode_errors == 0
    assert video.duration_s == pytest.approx(3.0) and audio.duration_s == pytest.approx(140 * 1024 / 48_000)
    assert report.difference_s == pytest.approx(3.0 - 140 * 1024 / 48_000)


@pytest.mark.parametrize("make", [lambda: good().finalised, lambda: muxing.sample_file(2.0, b_frames=2).data])
def test_finalised_and_reordered_recordings_are_whole(make: Callable[[], bytes]) -> None:
    assert codes(make()) == []


@pytest.mark.parametrize("missing", ["video", "audio"])
def test_a_recording_with_one_track_is_whole(missing: str) -> None:
    data = muxing.sample_file(2.0, video=missing != "video", audio=missing != "audio").data
    assert codes(data) == []


@pytest.mark.parametrize("flags", ["+faststart", "0"])
def test_an_ordinary_mp4_is_whole_and_any_cut_of_it_is_not(tmp_path: Path, flags: str) -> None:
    fragmented, ordinary = tmp_path / "in.mp4", tmp_path / "out.mp4"
    fragmented.write_bytes(good().data)
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(fragmented),
        "-c",
        "copy",
        "-movflags",
        flags,
        str(ordinary),
    ]
    subprocess.run(command, check=True, timeout=60)
    data = ordinary.read_bytes()
    report = check_file(ordinary)
    assert report.ok and not report.fragmented
    assert [track.samples for track in report.tracks] == [75, 140]
    for cut in range(0, len(data), 997):
        assert codes(data[:cut]), cut


@settings(max_examples=150, deadline=None)
@given(st.data(), st.booleans())
def test_a_file_that_stops_anywhere_is_never_called_whole(data: st.DataObject, finalised: bool) -> None:
    muxed = good()
    whole = muxed.finalised if finalised else muxed.data
    joints = set(accumulate(map(len, muxed.fragments), initial=len(muxed.init)))
    cut = data.draw(st.one_of(st.integers(0, len(whole) - 1), st.sampled_from(sorted(joints)[:-1])))
    report = check_file(io.BytesIO(whole[:cut]))
    assert report.whole_until <= cut
    if cut > min(joint for joint in joints if joint > len(muxed.init)):
        assert report.whole_until == max(joint for joint in joints if joint <= cut)
    # Without an index or a duration nothing promises the fragments that are not there.
    assert report.ok == (not finalised and cut in joints and cut > len(muxed.init))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=8), st.booleans())
def test_damage_anywhere_gives_a_report(flips: list[tuple[int, int]], finalised: bool) -> None:
    data = bytearray(good().finalised if finalised else good().data)
    for where, mask in flips:
        data[where % len(data)] ^= mask
    assert render(check_file(io.BytesIO(data)))


def test_a_codec_that_nobody_knows_is_reported() -> None:
    data = good().data.replace(b"avc1", b"zzzz")
    assert not check_file(io.BytesIO(data)).ok


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_bytes_that_are_not_mp4_give_a_report(data: bytes) -> None:
    assert not check_file(io.BytesIO(data)).ok
    assert not check_file(io.BytesIO(box(b"ftyp", b"iso6") + data)).ok


def replaced(number: int, fragment: bytes) -> bytes:
    parts = list(good().fragments)
    parts[number] = fragment
    return good().init + b"".join(parts)


def test_each_damage_has_its_name() -> None:
    init, (first, second, third) = good().init, good().fragments
    other = muxing.sample_file(3.0)
    key_frame = first.index(b"mdat") + 1200  # past the SEI that x264 begins with
    moof_size = int.from_bytes(second[:4], "big")
    damages = {
        "empty": b"",
        "not_mp4": b"RIFF\0\0\0\0WAVEfmt ",
        "no_movie": init[:32],
        "no_media": init,
        "gap": init + first + third,
        "time_backwards": init + first + second + second + third,
        "fragment_sequence": init + first + third,
        "fragment_incomplete": init + first + second[:moof_size] + third,
        "truncated": good().data[:-1],
        "malformed_box": good().data + b"\0\0\0\3free",
        "unknown_box": good().data + box(b"what"),
        "end_difference": muxing.mux(
            muxing.encode_video(muxing.moving_pictures(50)), muxing.encode_audio(muxing.tone(1.0))
        ).data,
        "decode_error": init + first[:key_frame] + bytes(400) + first[key_frame + 400 :] + second + third,
        "index_mismatch": other.finalised + third,
        "duration_mismatch": other.finalised[: -len(third)],
    }
    found = {code: codes(data) for code, data in damages.items()}
    assert {code: code in seen for code, seen in found.items()} == dict.fromkeys(damages, True), found


def test_a_fragment_must_begin_with_a_key_frame() -> None:
    _, samples = muxing.encode_video(muxing.moving_pictures(50), gop=50)
    runs = [TrackRun(1, 0, samples[:25]), TrackRun(1, 90_000, samples[25:])]
    init = muxing.mux(muxing.encode_video(muxing.moving_pictures(2)), None).init
    data = init + media_fragment(1, runs[:1]) + media_fragment(2, runs[1:])
    assert codes(data) == ["no_key_frame"]


def test_time_must_not_stand_still() -> None:
    video, samples = muxing.encode_video(muxing.moving_pictures(25), gop=25)
    still = [*samples[:3], Sample(samples[3].data, 0, False), *samples[4:]]
    assert codes(muxing.mux((video, still), None).data) == ["time_stands_still"]


def test_a_track_without_samples_is_named() -> None:
    pictures = muxing.encode_video(muxing.moving_pictures(25), gop=25)
    muxed = muxing.mux(pictures, muxing.encode_audio(muxing.tone(1.0)))
    silent = muxed.init + media_fragment(1, [TrackRun(1, 0, pictures[1])])
    assert codes(silent) == ["track_empty", "end_difference"]


@pytest.mark.parametrize("count", [PROBLEMS_MAX, PROBLEMS_MAX + 1])
def test_problems_are_bounded(count: int) -> None:
    problems = Problems()
    for number in range(count):
        problems.add("gap", str(number))
    assert (len(problems.listed), problems.unlisted) == (PROBLEMS_MAX, count - PROBLEMS_MAX)


def test_the_command_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recording.mp4"
    path.write_bytes(good().data)
    assert main(str(path)) == 0
    said = capsys.readouterr().out
    assert said.startswith("whole\n")
    assert "avc1 160x120, 75 samples from 0.000 s to 3.000 s, 75 decoded, 0 decoding errors" in said
    assert "mp4a 48000 Hz, 1 channel, 140 samples" in said

    path.write_bytes(good().data[:-10])
    assert main(str(path)) == 1
    said = capsys.readouterr().out
    assert said.startswith("NOT WHOLE\n") and "truncated: the file ends inside a mdat" in said
    assert "bytes after the last whole media" in said

    assert main(str(tmp_path / "missing.mp4")) == 1
    assert "unreadable: No such file or directory" in capsys.readouterr().out
