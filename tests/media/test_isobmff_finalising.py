"""Finalising: the same length to the byte, and players that know the duration and seek at once."""

import asyncio
import io
from pathlib import Path
from struct import pack

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from media.isobmff import (
    AudioTrack,
    FragmentPlace,
    Track,
    VideoTrack,
    finalise,
    init_segment,
    room_bytes,
)
from media.isobmff.box_reader import MalformedError, boxes_of
from media.isobmff.boxes import BOX_HEADER_BYTES, box
from media.isobmff.index import read_sidx
from media.isobmff.movie_reader import read_movie
from tests.support import muxing, oracle
from tests.support.muxing import Muxed
from tests.support.player import chromium_player

VIDEO = VideoTrack(1, 90_000, 640, 360, b"\x01\x64\x00\x1f")
AUDIO = AudioTrack(2, 48_000, 1, bytes.fromhex("1188"))
RANGE_REQUESTS_MAX = 15
FILLER_BYTES = 300_000


def places_after(init: bytes, sizes: list[int], durations_us: list[int]) -> list[FragmentPlace]:
    places, offset, start_us = [], len(init), 0
    for size, duration_us in zip(sizes, durations_us, strict=True):
        places.append(FragmentPlace(offset, size, start_us, duration_us))
        offset, start_us = offset + size, start_us + duration_us
    return places


@given(
    tracks=st.sampled_from([[VIDEO, AUDIO], [AUDIO], [VIDEO]]),
    spans=st.lists(st.tuples(st.integers(1, 2**31 - 1), st.integers(0, 10**8)), min_size=1, max_size=40),
    slack=st.one_of(st.just(0), st.integers(-200, 600)),
)
def test_any_recording_in_any_room(tracks: list[Track], spans: list[tuple[int, int]], slack: int) -> None:
    room = room_bytes(len(tracks), len(spans)) + slack
    reserved = room if room == 0 or room >= BOX_HEADER_BYTES else BOX_HEADER_BYTES
    init = init_segment(tracks, reserved_bytes=reserved)
    places = places_after(init, [size for size, _ in spans], [duration for _, duration in spans])
    final = finalise(init, places)

    assert len(final) == len(init)
    assert finalise(final, places) == final
    boxes = list(boxes_of(final))
    indexes = [read_sidx(found) for found in boxes if found.kind == b"sidx"]
    fits = slack == 0 or slack >= BOX_HEADER_BYTES
    assert [track_id for track_id, _ in indexes] == ([track.track_id for track in tracks] if fits else [])
    if fits:
        assert boxes[-1].kind == b"sidx"  # nothing between the index and the first moof
    for track, (_, references) in zip(tracks, indexes, strict=False):
        assert [(r.offset, r.size) for r in references] == [(p.offset, p.size) for p in places]
        assert [r.start for r in references] == [p.start_us * track.timescale // 10**6 for p in places]
    movie = read_movie(next(found for found in boxes if found.kind == b"moov"))
    assert movie.duration_s == pytest.approx(sum(duration for _, duration in spans) / 1e6, abs=1e-4)


def test_nothing_recorded_changes_nothing() -> None:
    init = init_segment([VIDEO], reserved_bytes=100)
    assert finalise(init, []) == init


def test_what_cannot_be_finalised_is_refused() -> None:
    init = init_segment([VIDEO, AUDIO], reserved_bytes=400)
    places = places_after(init, [10, 10], [10, 10])
    hole = [places[0], replace_offset(places[1], 1)]
    back = [FragmentPlace(places[0].offset, 10, 20, 10), FragmentPlace(places[1].offset, 10, 10, 10)]
    huge, endless = places_after(init, [1 << 31], [10]), places_after(init, [10], [10**12])
    for given_init, given_places in (
        (init, [replace_offset(places[0], 1)]),
        (init, [FragmentPlace(len(init), 10, -1, 10)]),
        (init, hole),
        (init, back),
        (init, huge),
        (init, endless),
        (init + box(b"mdat"), places_after(init + box(b"mdat"), [10], [10])),
        (box(b"ftyp"), places_after(box(b"ftyp"), [10], [10])),
    ):
        with pytest.raises(ValueError):
            finalise(given_init, given_places)
    with pytest.raises(MalformedError):
        finalise(init[:-1], places)


def replace_offset(place: FragmentPlace, by: int) -> FragmentPlace:
    return FragmentPlace(place.offset + by, place.size, place.start_us, place.duration_us)


def test_ffprobe_sees_the_same_packets_before_and_after(tmp_path: Path) -> None:
    muxed = muxing.sample_file(6.0)
    raw, final = tmp_path / "raw.mp4", tmp_path / "final.mp4"
    raw.write_bytes(muxed.data)
    final.write_bytes(muxed.finalised)
    assert oracle.decode_errors(final) == ""
    assert float(oracle.container(final)["duration"]) == pytest.approx(6.0, abs=0.03)
    for stream in ("v:0", "a:0"):
        assert oracle.packets(raw, stream) == oracle.packets(final, stream)
    assert oracle.frames(final, "v:0")[0]["key_frame"] == 1


class _Counted(io.BytesIO):
    """Counts the bytes that a reader takes."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


def long_recording(seconds: int, *, reserved_bytes: int, filler_bytes: int = 1) -> Muxed:
    """Many fragments at the price of coding one: the same two seconds again and again.

    `filler_bytes` of filler data (ITU-T H.264, 7.3.2.7) in each key frame make it as large as a real one.
    """
    video, pictures = muxing.encode_video(muxing.moving_pictures(50, width=640, height=480), gop=50)
    filler = pack(">IB", filler_bytes + 2, 12) + b"\xff" * filler_bytes + b"\x80"
    pictures[0] = structs.replace(pictures[0], data=pictures[0].data + filler)
    audio, sounds = muxing.encode_audio(muxing.tone(2.0))
    repeated = pictures * (seconds // 2), (sounds * seconds)[: seconds * 48_000 // 1024]
    return muxing.mux((video, repeated[0]), (audio, repeated[1]), reserved_bytes=reserved_bytes)


def test_libavformat_opens_by_the_index_and_plays_every_fragment_after_a_seek() -> None:
    muxed = long_recording(240, reserved_bytes=8192)
    file = _Counted(muxed.finalised)
    with av.open(file, "r") as container:
        assert file.taken < len(muxed.data) / 10
        assert container.duration == pytest.approx(240e6, abs=3e4)
        stream = container.streams.video[0]
        container.seek(120 * 90_000, stream=stream)
        times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    assert times == [120 * 90_000 + number * 3600 for number in range(120 * 25)]


async def test_chromium_knows_the_duration_and_seeks_with_few_requests(tmp_path: Path) -> None:
    muxed = long_recording(600, reserved_bytes=8192, filler_bytes=FILLER_BYTES)
    (tmp_path / "final.mp4").write_bytes(muxed.finalised)
    (tmp_path / "raw.mp4").write_bytes(muxed.data)
    async with asyncio.timeout(60), chromium_player(tmp_path) as player:
        opened = await player.open("final.mp4")
        assert opened == {"duration": pytest.approx(600, abs=0.03), "width": 640}
        for wanted_s in (300.02, 123.46, 590.1):
            assert 0 <= wanted_s - await player.seek(wanted_s) < 0.04
        assert 0 < len(player.requests) <= RANGE_REQUESTS_MAX

        assert await player.open("raw.mp4") == opened
        assert 0 <= 300.02 - await player.seek(300.02) < 0.04
        assert len(player.requests) > RANGE_REQUESTS_MAX  # else the count above proves nothing
