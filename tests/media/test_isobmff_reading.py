"""The reader: what was written comes back, and nothing that is not MP4 makes it do anything but say so."""

import io
from itertools import pairwise
from struct import pack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.isobmff import AudioTrack, Sample, Track, TrackRun, VideoTrack, init_segment, media_fragment
from media.isobmff.box_reader import DESCRIPTION_BYTES_MAX, MalformedError, Place, boxes_of, load, top_level
from media.isobmff.boxes import box, full_box
from media.isobmff.fragment_reader import SAMPLES_PER_FRAGMENT_MAX, read_fragment
from media.isobmff.movie_reader import MovieReading, read_movie
from tests.support import muxing

TRACKS: list[Track] = [
    VideoTrack(1, 90_000, 640, 360, b"\x01\x64\x00\x1f"),
    AudioTrack(2, 48_000, 2, bytes.fromhex("1190")),
]

samples = st.builds(
    Sample,
    data=st.binary(min_size=1, max_size=40),
    duration=st.integers(0, 2**32 - 1),
    keyframe=st.booleans(),
    composition_offset=st.integers(-(2**31), 2**31 - 1),
)
runs = st.builds(
    TrackRun,
    track_id=st.sampled_from([1, 2]),
    base_decode_time=st.integers(0, 2**64 - 1),
    samples=st.lists(samples, min_size=1, max_size=12),
)
fragment_runs = st.lists(runs, min_size=1, max_size=2, unique_by=lambda run: run.track_id)


def movie(init: bytes | None = None) -> MovieReading:
    written = init if init is not None else init_segment(TRACKS, reserved_bytes=64)
    return read_movie(next(found for found in boxes_of(written) if found.kind == b"moov"))


@given(number=st.integers(0, 2**32 - 1), written=fragment_runs, offset=st.integers(0, 2**40))
def test_every_fragment_comes_back_as_it_was_written(
    number: int, written: list[TrackRun], offset: int
) -> None:
    data = media_fragment(number, written)
    moof, mdat = boxes_of(data, offset=offset)
    found = read_fragment(moof, movie())

    assert (found.sequence_number, found.offset) == (number, offset)
    assert mdat.offset + 8 == found.runs[0].data_offset
    for run, read in zip(written, found.runs, strict=True):
        assert (read.track_id, read.base_decode_time) == (run.track_id, run.base_decode_time)
        at = read.data_offset - offset
        for sample, seen in zip(run.samples, read.samples, strict=True):
            assert (sample.duration, sample.keyframe) == (seen.duration, seen.keyframe)
            assert sample.composition_offset == seen.composition_offset
            assert data[at : at + seen.size] == sample.data
            at += seen.size


def test_the_movie_comes_back() -> None:
    found = movie()
    video, audio = found.tracks[1], found.tracks[2]
    assert found.fragmented and found.duration_s == 0
    assert (video.kind, video.codec, video.timescale, video.width, video.height) == (
        "vide", "avc1", 90_000, 640, 360,
    )  # fmt: skip
    assert (audio.kind, audio.codec, audio.channels, audio.sample_rate) == ("soun", "mp4a", 2, 48_000)
    assert video.table.samples == audio.table.samples == 0


@given(st.integers(0, 20_000))
def test_a_file_cut_anywhere_yields_whole_places_and_one_broken_one(cut: int) -> None:
    data = muxing_file()
    cut = min(cut, len(data))
    places = list(top_level(io.BytesIO(data[:cut])))
    whole = [place for place in places if place.whole]
    assert places[: len(whole)] == whole and len(places) - len(whole) <= 1
    assert sum(place.size for place in whole) <= cut
    assert all(a.end == b.offset for a, b in pairwise(places))


def muxing_file() -> bytes:
    return init_segment(TRACKS, reserved_bytes=64) + b"".join(
        media_fragment(number, [TrackRun(1, number * 10, [Sample(b"x" * 700, 10, True)])])
        for number in range(1, 20)
    )


@settings(max_examples=300)
@given(st.data())
def test_damaged_descriptions_are_malformed_or_readable(data: Any) -> None:
    init = bytearray(init_segment(TRACKS, reserved_bytes=0))
    fragment = bytearray(media_fragment(1, [TrackRun(1, 0, [Sample(b"abc", 1, True)] * 3)]))
    for target in (init, fragment):
        for _ in range(data.draw(st.integers(0, 3))):
            target[data.draw(st.integers(0, len(target) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = movie(bytes(init))
        read_fragment(next(boxes_of(bytes(fragment))), found)
    except (MalformedError, StopIteration):
        return
    assert len(found.tracks) <= 2


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (pack(">I4s", 7, b"free"), "a free box of 7 bytes"),
        (pack(">I4s", 16, b"\0\0\0\1") + bytes(8), "no box has the name"),
        (pack(">I4sQ", 1, b"mdat", 15), "a mdat box of 15 bytes"),
    ],
)
def test_headers_that_contradict_themselves(head: bytes, reason: str) -> None:
    with pytest.raises(MalformedError, match=reason) as caught:
        list(top_level(io.BytesIO(box(b"ftyp") + head)))
    assert caught.value.offset == 8


def test_large_and_open_ended_boxes_are_understood() -> None:
    large = pack(">I4sQ", 1, b"mdat", 20) + bytes(4)
    to_the_end = pack(">I4s", 0, b"mdat") + bytes(5)
    assert list(top_level(io.BytesIO(large + to_the_end))) == [
        Place(b"mdat", 0, 16, 20, True),
        Place(b"mdat", 20, 8, 13, True),
    ]


def test_no_description_is_loaded_beyond_its_bound() -> None:
    with pytest.raises(MalformedError):
        load(io.BytesIO(), Place(b"moov", 0, 8, DESCRIPTION_BYTES_MAX + 1, True))


@pytest.mark.parametrize("count", [SAMPLES_PER_FRAGMENT_MAX, SAMPLES_PER_FRAGMENT_MAX + 1])
def test_a_run_that_claims_samples_without_describing_them_is_bounded(count: int) -> None:
    tfhd = full_box(b"tfhd", 0, 0, pack(">I", 1))
    trun = full_box(b"trun", 0, 0, pack(">I", count))
    moof = box(b"moof", full_box(b"mfhd", 0, 0, pack(">I", 1)), box(b"traf", tfhd, trun))
    if count > SAMPLES_PER_FRAGMENT_MAX:
        with pytest.raises(MalformedError):
            read_fragment(next(boxes_of(moof)), movie())
    else:
        assert len(read_fragment(next(boxes_of(moof)), movie()).runs[0].samples) == count


def test_two_runs_of_one_fragment_share_the_bound() -> None:
    tfhd = full_box(b"tfhd", 0, 0, pack(">I", 1))
    trun = full_box(b"trun", 0, 0, pack(">I", SAMPLES_PER_FRAGMENT_MAX // 2 + 1))
    moof = box(b"moof", full_box(b"mfhd", 0, 0, pack(">I", 1)), box(b"traf", tfhd, trun, trun))
    with pytest.raises(MalformedError):
        read_fragment(next(boxes_of(moof)), movie())


def test_real_media_reads_back() -> None:
    muxed = muxing.sample_file(2.0, b_frames=2)
    found = movie(muxed.init)
    moofs = [part for part in boxes_of(muxed.data) if part.kind == b"moof"]
    fragments = [read_fragment(moof, found) for moof in moofs]
    assert [fragment.sequence_number for fragment in fragments] == [1, 2]
    assert all(fragment.runs[0].samples[0].keyframe for fragment in fragments)
    assert (
        sum(run.duration for fragment in fragments for run in fragment.runs if run.track_id == 1) == 180_000
    )
