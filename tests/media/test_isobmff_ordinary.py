"""An ordinary file of a fragmented one: the same samples at the same bytes, and nothing else to be seen."""

import io
from itertools import pairwise
from pathlib import Path
from struct import pack

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.check.file import check_file
from media.isobmff import (
    AudioTrack,
    FragmentPlace,
    Sample,
    Track,
    TrackRun,
    VideoTrack,
    finalise,
    init_segment,
    media_fragment,
)
from media.isobmff.box_reader import Box, boxes_of, find, top_level
from media.isobmff.progressive.movie import HEAD_BYTES, ProgressiveMovie, ordinary_moov
from media.isobmff.progressive.samples import READ_BYTES
from tests.support import muxing, oracle
from tests.support.muxing import Muxed

TRACKS: list[Track] = [
    VideoTrack(1, 90_000, 640, 360, b"\x01\x64\x00\x1f"),
    AudioTrack(2, 48_000, 2, bytes.fromhex("1190")),
]


def ordinary(muxed: Muxed, data: bytes | None = None) -> bytes:
    """The file; `data` is what stands on the disk by now."""
    stands = muxed.data if data is None else data
    movie = ProgressiveMovie(muxed.init)
    for place in muxed.places:
        assert take(movie, place, stands)
    inner = finalise(movie.inner_init, [moved(place, -HEAD_BYTES) for place in muxed.places])
    head = movie.head(inner, len(stands) - len(muxed.init))
    assert len(head) == len(muxed.init)
    return head + stands[len(muxed.init) :] + movie.movie(0)


def take(movie: ProgressiveMovie, place: FragmentPlace, stands: bytes) -> bool:
    end_us = place.start_us + place.duration_us
    return movie.take(place.offset, place.offset + place.size, end_us, lambda start, stop: stands[start:stop])


def moved(place: FragmentPlace, by: int) -> FragmentPlace:
    return FragmentPlace(place.offset + by, place.size, place.start_us, place.duration_us)


def written(directory: Path, name: str, data: bytes) -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def inside(box: Box, *kinds: bytes) -> Box | None:
    for kind in kinds:
        found = find(box, kind)
        if found is None:
            return None
        box = found
    return box


@pytest.mark.parametrize("b_frames", [0, 2])
def test_it_decodes_to_the_same_at_the_same_times(tmp_path: Path, b_frames: int) -> None:
    muxed = muxing.sample_file(4.0, b_frames=b_frames)
    fragmented = written(tmp_path, "fragmented.mp4", muxed.finalised)
    whole = written(tmp_path, "ordinary.mp4", ordinary(muxed))
    assert oracle.decode_errors(whole) == ""
    for stream in ("v:0", "a:0"):
        assert [told(found) for found in oracle.packets(whole, stream)] == [
            told(found) for found in oracle.packets(fragmented, stream)
        ]
    assert pictures_and_sounds(whole) == pictures_and_sounds(fragmented)
    report = check_file(whole)
    assert (report.ok, report.fragmented) == (True, False)


def told(packet: dict[str, object]) -> list[object]:
    """Everything but the duration, which FFmpeg leaves out of a fragment's first packet of sound."""
    return [packet.get(key) for key in ("pts", "dts", "size", "pos", "flags")]


def pictures_and_sounds(path: Path) -> list[tuple[str, int | None, bytes]]:
    """All that is decoded, of each track in its order."""
    with av.open(str(path)) as container:
        found = [
            (type(frame).__name__, frame.pts, frame.to_ndarray().tobytes())
            for frame in container.decode(*container.streams.video, *container.streams.audio)
            if isinstance(frame, av.VideoFrame | av.AudioFrame)
        ]
    return sorted(found, key=lambda each: (each[0], each[1] or 0))


def test_there_is_one_mdat_and_one_moov_and_no_word_of_fragments() -> None:
    muxed = muxing.sample_file(4.0)
    data = ordinary(muxed)
    places = list(top_level(io.BytesIO(data)))
    assert [place.kind for place in places] == [b"ftyp", b"mdat", b"moov"]
    assert (places[1].header_bytes, places[1].end, places[2].end) == (16, len(muxed.data), len(data))
    assert b"iso5" not in data[:HEAD_BYTES]  # the brands that promise fragments
    moov = next(boxes_of(data[places[2].offset :]))
    assert find(moov, b"mvex") is None
    headers: list[tuple[bytes, ...]] = [(b"mvhd",), (b"trak", b"tkhd"), (b"trak", b"mdia", b"mdhd")]
    for path in headers:
        header = inside(moov, *path)
        assert header is not None
        assert header.body[0] == 0  # the version with 32 bits, which is the only one that QuickTime describes
    video = inside(moov, b"trak", b"mdia", b"minf", b"stbl")
    assert video is not None
    kinds = [found.kind for found in boxes_of(bytes(video.body))]
    assert kinds == [b"stsd", b"stts", b"stss", b"stsc", b"stsz", b"stco"]
    assert inside(moov, b"trak", b"edts") is None


def test_the_fragmented_file_is_inside_whole() -> None:
    muxed = muxing.sample_file(4.0)
    data = ordinary(muxed)
    within = data[HEAD_BYTES : len(muxed.data)]
    report = check_file(io.BytesIO(within))
    assert (report.ok, report.fragmented, report.indexed) == (True, True, True)
    assert report.fragments == len(muxed.fragments)


@pytest.mark.parametrize("lost", [0, 1, 3])
def test_a_fragment_that_is_lost_is_a_gap_and_all_else_stays_in_its_time(tmp_path: Path, lost: int) -> None:
    muxed = muxing.sample_file(4.0)
    place = muxed.places[lost]
    blank = pack(">I4s", place.size, b"free").ljust(place.size, b"\0")
    damaged = muxed.data[: place.offset] + blank + muxed.data[place.offset + place.size :]
    fragmented = written(tmp_path, "fragmented.mp4", damaged)
    whole = written(tmp_path, "ordinary.mp4", ordinary(muxed, damaged))
    for stream in ("v:0", "a:0"):
        assert [told(found) for found in oracle.packets(whole, stream)] == [
            told(found) for found in oracle.packets(fragmented, stream)
        ]
    assert check_file(whole).ok


@settings(max_examples=60)
@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_bit_that_flips_in_a_fragments_boxes_costs_no_more_than_its_neighbour(at: int, bit: int) -> None:
    muxed = FLIPPED
    place = muxed.places[1]
    moof_bytes = int.from_bytes(muxed.fragments[1][:4], "big")
    damaged = bytearray(muxed.data)
    damaged[place.offset + at % moof_bytes] ^= 1 << bit
    movie = ProgressiveMovie(muxed.init)
    gaps = [n for n, each in enumerate(muxed.places) if not take(movie, each, bytes(damaged))]
    assert set(gaps) <= {1, 2}  # one that claims to come a little later is believed: the next comes too early
    video = movie._gathering.tracks[1]
    assert all(before < after for before, after in pairwise(video.chunk_offsets))
    assert movie.movie(0)


FLIPPED = muxing.sample_file(4.0)

runs = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(1, 9), st.integers(1, 5), st.booleans(), st.integers(-3, 3)), min_size=1
        ),
        st.lists(st.integers(1, 9), max_size=9),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=6,
)


@given(runs, st.integers(0, 1 << 40))
def test_tables_say_what_the_fragments_said(
    fragments: list[tuple[list[tuple[int, int, bool, int]], list[int], int]], by: int
) -> None:
    init = init_segment(TRACKS, reserved_bytes=400)
    data, expected, at = init, [], {1: 0, 2: 0}
    for number, (pictures, sounds, gap) in enumerate(fragments, 1):
        lanes = {
            1: [Sample(bytes(size), duration, key, offset) for size, duration, key, offset in pictures],
            2: [Sample(bytes(size), 1024, True) for size in sounds],
        }
        taken = []
        for track_id, samples in lanes.items():
            if samples:
                taken.append(TrackRun(track_id, at[track_id] + gap, samples))
                at[track_id] += gap + sum(sample.duration for sample in samples)
        data += media_fragment(number, taken)
        expected += [run for run in taken if run.track_id == 1]
    movie = ProgressiveMovie(init)
    assert movie.take(len(init), len(data), 10**9, lambda start, stop: data[start:stop])
    video = movie._gathering.tracks[1]
    samples = [sample for run in expected for sample in run.samples]
    assert list(video.sizes) == [len(sample.data) for sample in samples]
    assert list(video.key_frames) == [n for n, sample in enumerate(samples, 1) if sample.keyframe]
    assert unfolded(video.composition_offsets) == [sample.composition_offset for sample in samples]
    starts = [
        run.base_decode_time + sum(s.duration for s in run.samples[:n])
        for run in expected
        for n in range(len(run.samples))
    ]
    assert video.begins == starts[0]
    assert unfolded(video.durations)[:-1] == [after - before for before, after in pairwise(starts)]
    moov = next(boxes_of(ordinary_moov(movie._moov, movie._movie, movie._gathering.tracks, by)))
    stbl = inside(moov, b"trak", b"mdia", b"minf", b"stbl")
    assert stbl is not None
    assert find(stbl, b"co64" if max(video.chunk_offsets) + by >= 1 << 32 else b"stco") is not None


def unfolded(lengths: object) -> list[int]:
    counts, values = lengths.counts, lengths.values  # type: ignore[attr-defined]
    return [value for count, value in zip(counts, values, strict=True) for _ in range(count)]


def test_a_moof_longer_than_one_read_is_read_whole() -> None:
    samples = [Sample(b"x" * (1 + n % 2), 1 + n % 3, n == 0) for n in range(READ_BYTES)]
    init = init_segment(TRACKS[:1], reserved_bytes=64)
    data = init + media_fragment(1, [TrackRun(1, 0, samples)])
    movie = ProgressiveMovie(init)
    assert movie.take(len(init), len(data), 10**9, lambda start, stop: data[start:stop])
    assert len(movie._gathering.tracks[1].sizes) == READ_BYTES


def test_what_cannot_be_made_ordinary_is_refused() -> None:
    with pytest.raises(ValueError):
        ProgressiveMovie(init_segment(TRACKS, reserved_bytes=HEAD_BYTES - 1))
    with pytest.raises(ValueError):
        ProgressiveMovie(b"")
    with pytest.raises(ValueError):
        ProgressiveMovie(init_segment(TRACKS, reserved_bytes=HEAD_BYTES)).movie(0)
