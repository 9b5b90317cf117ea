"""The fragment writer: exact bytes for a small case, and what libavformat reads back from real media."""

from pathlib import Path

import pytest

from media.isobmff import (
    AudioTrack,
    Colour,
    Sample,
    TrackRun,
    VideoTrack,
    decoder_configuration,
    init_segment,
    length_prefixed,
    media_fragment,
)
from media.isobmff.boxes import box, free_box
from media.isobmff.sample_entry import avc1
from tests.support import muxing, oracle

AUDIO = AudioTrack(1, 48_000, 1, bytes.fromhex("1188"))


def test_a_fragment_of_one_audio_run_is_these_bytes() -> None:
    run = TrackRun(1, 0x1_0000_0000, [Sample(b"ab", 1024, True), Sample(b"cde", 1024, True)])
    assert media_fragment(7, [run]) == bytes.fromhex(
        "00000068 6d6f6f66"  # moof
        "00000010 6d666864 00000000 00000007"  # mfhd
        "00000050 74726166"  # traf
        "00000018 74666864 00020028 00000001 00000400 02000000"  # tfhd: base is moof, duration, sync
        "00000014 74666474 01000000 0000000100000000"  # tfdt
        "0000001c 7472756e 01000201 00000002 00000070 00000002 00000003"  # trun: offset, sizes
        "0000000d 6d646174 6162636465"  # mdat
    )


def test_samples_that_differ_get_columns() -> None:
    samples = [Sample(b"a", 10, True), Sample(b"b", 20, False, -5), Sample(b"c", 10, True, 5)]
    written = media_fragment(1, [TrackRun(3, 0, samples)])
    trun = written[written.index(b"trun") - 4 : written.index(b"mdat") - 4]
    assert trun[8:].hex(" ", 4) == (
        "01000f01 00000003 00000090 "  # durations, sizes, flags, composition offsets
        "0000000a 00000001 02000000 00000000 "
        "00000014 00000001 01010000 fffffffb "
        "0000000a 00000001 02000000 00000005"
    )


def test_only_the_first_is_a_key_frame() -> None:
    samples = [Sample(b"a", 10, True), Sample(b"b", 10, False), Sample(b"c", 10, False)]
    written = media_fragment(1, [TrackRun(1, 0, samples)])
    trun = written[written.index(b"trun") - 4 : written.index(b"mdat") - 4]
    assert trun[8:].hex(" ", 4) == "01000205 00000003 00000078 02000000 00000001 00000001 00000001"


@pytest.mark.parametrize(
    ("number", "runs"),
    [
        (1, []),
        (1, [TrackRun(1, 0, [])]),
        (1, [TrackRun(1, 0, [Sample(b"", 1, True)])]),
        (1, [TrackRun(1, 0, [Sample(b"a", 1, True)])] * 2),
        (1, [TrackRun(1, -1, [Sample(b"a", 1, True)])]),
        (1, [TrackRun(1, 0, [Sample(b"a", 1 << 32, True)])]),
        (1, [TrackRun(1, 0, [Sample(b"a", 1, True, 1 << 31)])]),
        (1 << 32, [TrackRun(1, 0, [Sample(b"a", 1, True)])]),
    ],
)
def test_what_cannot_be_written_is_refused(number: int, runs: list[TrackRun]) -> None:
    with pytest.raises(ValueError):
        media_fragment(number, runs)


def test_init_segments_that_cannot_be_are_refused() -> None:
    for tracks, reserved in (([], 0), ([AUDIO, AUDIO], 0), ([AUDIO], 7)):
        with pytest.raises(ValueError):
            init_segment(tracks, reserved_bytes=reserved)
    with pytest.raises(ValueError):
        init_segment([AudioTrack(1, 96_000, 2, b"\x10")], reserved_bytes=0)


def test_reserved_room_is_exact_and_the_rest_does_not_depend_on_it() -> None:
    bare = init_segment([AUDIO], reserved_bytes=0)
    for reserved in (8, 9, 4096):
        assert init_segment([AUDIO], reserved_bytes=reserved) == bare + free_box(reserved)


def test_a_box_beyond_32_bits_is_refused() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 32

    with pytest.raises(ValueError):
        box(b"mdat", Huge())


def test_the_colour_is_written_only_where_it_is_known() -> None:
    track = VideoTrack(1, 90_000, 320, 240, b"\x01")
    assert b"colr" not in avc1(track)
    known = avc1(VideoTrack(1, 90_000, 320, 240, b"\x01", Colour(1, 1, 1, full_range=True)))
    assert bytes.fromhex("00000013 636f6c72 6e636c78 0001 0001 0001 80") in known


def test_annex_b_becomes_length_prefixed_without_parameter_sets() -> None:
    stream = b"\0\0\0\1\x09\xf0\0\0\0\1\x67abc\0\0\1\x68d\0\0\0\1\x65\x88\0\0\x03\0\0\1\x41xy\0\0"
    assert length_prefixed(stream) == b"\0\0\0\5\x65\x88\0\0\x03\0\0\0\3\x41xy"


def test_the_decoder_configuration_needs_both_parameter_sets() -> None:
    sps, pps = b"\0\0\0\1\x67\x64\0\x1fQ", b"\0\0\1\x68\xee"
    assert (
        decoder_configuration(sps + pps).hex()
        == "0164001fffe1000567" + "64001f51" + "01000268ee" + "fdf8f800"
    )
    baseline = decoder_configuration(b"\0\0\1\x67\x42\xc0\x1fQ" + pps)
    assert baseline.endswith(b"\x68\xee")
    for missing in (sps, pps, b"", b"\0\0\1\x67\x64" + pps):
        with pytest.raises(ValueError):
            decoder_configuration(missing)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_libavformat_reads_every_sample_where_it_was_put(tmp_path: Path, b_frames: int) -> None:
    video = muxing.encode_video(muxing.moving_pictures(75), gop=25, b_frames=b_frames)
    audio = muxing.encode_audio(muxing.tone(3))
    path = tmp_path / "whole.mp4"
    path.write_bytes(muxing.mux(video, audio, audio_delay_s=0.25).data)

    assert oracle.decode_errors(path) == ""
    for coded, stream, delay_s in ((video, "v:0", 0.0), (audio, "a:0", 0.25)):
        packets = oracle.packets(path, stream)
        scale = coded[0].timescale
        assert [int(packet["size"]) for packet in packets] == [len(s.data) for s in coded[1]]
        assert [packet["flags"].startswith("K") for packet in packets] == [s.keyframe for s in coded[1]]
        at = delay_s * scale
        for packet, sample in zip(packets, coded[1], strict=True):
            assert packet["dts"] == round(at)
            assert packet["pts"] == round(at) + sample.composition_offset
            at += sample.duration


def test_the_same_input_gives_the_same_bytes() -> None:
    assert muxing.sample_file(2.0).data == muxing.sample_file(2.0).data
