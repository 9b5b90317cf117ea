"""`bystander check FILE`: is a recording whole? Reads its boxes, then decodes all of it.

Codes of problems: empty, unreadable, not_mp4, malformed_box, unknown_box, truncated, no_movie, no_media,
track_empty, fragment_incomplete, fragment_sequence, no_key_frame, gap, time_backwards, time_stands_still,
duration_mismatch, index_mismatch, end_difference, decode_error, decode_incomplete, undecodable.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import av
from av.stream import Stream

from media.check.report import Problem, Problems, Report, TrackReport, render
from media.check.structure import Structure
from media.check.tracks import TrackTally

__all__ = [
    "Picture",
    "Problem",
    "Refused",
    "Report",
    "Sound",
    "TrackReport",
    "check_file",
    "decoded_frames",
    "main",
    "render",
]

PIXELS_MAX = 8192 * 8192  # a damaged parameter set must not make the decoder ask for gigabytes
_DECODER_OPTIONS = {"err_detect": "explode", "max_pixels": str(PIXELS_MAX)}


class Picture(NamedTuple):
    """A decoded picture of the track."""

    track_id: int
    frame: av.VideoFrame


class Sound(NamedTuple):
    """A decoded stretch of sound of the track."""

    track_id: int
    frame: av.AudioFrame


class Refused(NamedTuple):
    """A packet of the track that the decoder did not take."""

    track_id: int


def check_file(source: Path | BinaryIO) -> Report:
    """Return what is found in a file, or in a seekable binary file object, however damaged it is.

    A fragmented file that was never finalised and ends exactly between two fragments is whole: nothing in
    it promises more. Raises OSError where it cannot be read at all.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return check_file(file)
    problems = Problems()
    structure = Structure(source, problems)
    structure.read()
    if any(tally.samples for tally in structure.tallies.values()):
        _decode(source, structure, problems)
    return Report(
        size=structure.size,
        fragmented=structure.movie is not None and structure.movie.fragmented,
        indexed=structure.indexed,
        fragments=structure.fragments,
        whole_until=structure.whole_until,
        tracks=[tally.report() for tally in structure.tallies.values()],
        problems=problems.listed,
        problems_unlisted=problems.unlisted,
    )


def main(path: str) -> int:
    """Check the file, write the report to standard output; return 0 if it is whole, 1 if not."""
    try:
        report = check_file(Path(path))
    except OSError as error:
        sys.stdout.write(f"NOT WHOLE\n  unreadable: {error.strerror}\n")
        return 1
    sys.stdout.write(render(report))
    return 0 if report.ok else 1


def decoded_frames(source: BinaryIO) -> Iterator[Picture | Sound | Refused]:
    """Yield all that the file's pictures and sound decode to, in the order of the file.

    Raises av.FFmpegError where the container itself cannot be read any further.
    """
    source.seek(0)
    with av.open(source, "r", metadata_errors="ignore") as container:
        streams = []
        for stream in (*container.streams.video, *container.streams.audio):
            if stream.codec_context is None:  # libav knows no decoder for what the damaged file names
                yield Refused(stream.id)
                continue
            streams.append(stream)
            stream.codec_context.options = dict(_DECODER_OPTIONS)
            stream.codec_context.thread_type = "AUTO"
        for packet in container.demux(streams):
            yield from _decoded(packet)


def _decoded(packet: "av.Packet[Stream]") -> Iterator[Picture | Sound | Refused]:
    track_id = packet.stream.id
    try:
        frames = packet.decode()
    except av.FFmpegError:
        yield Refused(track_id)
        return
    for frame in frames:
        if isinstance(frame, av.VideoFrame):
            yield Picture(track_id, frame)
        elif isinstance(frame, av.AudioFrame):
            yield Sound(track_id, frame)


def _decode(source: BinaryIO, structure: Structure, problems: Problems) -> None:
    try:
        for result in decoded_frames(source):
            _count(result, structure.tallies)
    except av.FFmpegError as error:
        problems.add("undecodable", f"libavformat gives up: {error.strerror}")
    for tally in structure.tallies.values():
        _judge(tally, problems, every_sample=structure.movie is not None and structure.movie.fragmented)


def _count(result: Picture | Sound | Refused, tallies: dict[int, TrackTally]) -> None:
    tally = tallies.get(result.track_id)
    if tally is None:
        return  # libavformat saw a track that the boxes do not name: the structure says so already
    if isinstance(result, Refused) or (isinstance(result, Picture) and result.frame.is_corrupt):
        tally.add_error()
    else:
        tally.add_decoded()


def _judge(tally: TrackTally, problems: Problems, *, every_sample: bool) -> None:
    """An ordinary file may leave out frames by its edit list; a fragment of ours is there to the last one."""
    name = f"track {tally.track.track_id} ({tally.track.codec})"
    if tally.errors:
        problems.add("decode_error", f"{name}: {tally.errors} packets cannot be decoded")
    if tally.decoded < (tally.samples if every_sample else min(tally.samples, 1)):
        problems.add("decode_incomplete", f"{name}: {tally.decoded} of {tally.samples} samples decode")
