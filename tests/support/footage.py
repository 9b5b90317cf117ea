"""Real fragments without end: two seconds of H.264 and AAC, coded once, told again at later times."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
import numpy as np

from media.isobmff import Sample, Track, TrackRun, init_segment, media_fragment
from recorder.kernel.media import Fragment, FragmentKind
from storage.spool import format as form
from storage.spool.format import IndexEntry, SpoolFacts
from tests.support.muxing import encode_audio, encode_video

FPS, PICTURES = 25, 48
FRAGMENT_US = 1_920_000  # 48 pictures, and exactly 90 frames of AAC
SOUND_FRAMES = 90
RESERVED_BYTES = 64 * 1024


class Coded(msgspec.Struct, frozen=True):
    """The samples of one fragment, as they travel to other processes."""

    tracks: tuple[Track, ...]
    runs: tuple[tuple[int, int, tuple[Sample, ...]], ...]  # track, ticks of a fragment, samples


@dataclass(frozen=True)
class Footage:
    """Fragment 0 is the init segment, those after it follow one another."""

    coded: Coded

    @cached_property
    def init(self) -> bytes:
        return init_segment(self.coded.tracks, reserved_bytes=RESERVED_BYTES)

    def fragment(self, number: int) -> Fragment:
        if number == 0:
            return Fragment(kind=FragmentKind.INIT, data=self.init)
        runs = [TrackRun(track, (number - 1) * ticks, samples) for track, ticks, samples in self.coded.runs]
        return Fragment(
            kind=FragmentKind.MEDIA,
            data=media_fragment(number, runs),
            start_us=(number - 1) * FRAGMENT_US,
            duration_us=FRAGMENT_US,
        )


def make(*, width: int, height: int, noise: int) -> Footage:
    """Code two seconds; more `noise` makes larger fragments (640x360 and 255: about 3 MB)."""
    chance = np.random.default_rng(7)
    pictures = [chance.integers(0, noise + 1, (height, width, 3)).astype(np.uint8) for _ in range(PICTURES)]
    video, video_samples = encode_video(pictures, fps=FPS, gop=PICTURES)
    tone = np.sin(np.arange(1024 * (SOUND_FRAMES + 4)) / 20).astype(np.float32) / 4
    audio, audio_samples = encode_audio(tone)
    runs = (
        (video.track_id, FRAGMENT_US * video.timescale // 1_000_000, tuple(video_samples)),
        (audio.track_id, SOUND_FRAMES * 1024, tuple(audio_samples[:SOUND_FRAMES])),
    )
    return Footage(Coded((video, audio), runs))


def _tagged(coded: Coded) -> bytes:
    video, audio = coded.tracks
    return msgspec.msgpack.encode((video, audio, coded.runs))


def save(footage: Footage, path: Path) -> None:
    path.write_bytes(_tagged(footage.coded))


def load(path: Path) -> Footage:
    from media.isobmff import AudioTrack, VideoTrack

    shape = tuple[VideoTrack, AudioTrack, tuple[tuple[int, int, tuple[Sample, ...]], ...]]
    video, audio, runs = msgspec.msgpack.decode(path.read_bytes(), type=shape)
    return Footage(Coded((video, audio), runs))


def spool_of(footage: Footage, root: Path, facts: SpoolFacts, fragments: int) -> None:
    """A spool of so many media fragments that has not ended, as if its worker had just died."""
    directory = root / facts.recording
    directory.mkdir(parents=True)
    offset, records = 0, []
    with (directory / form.MEDIA).open("wb") as media:
        for number in range(fragments + 1):
            fragment = footage.fragment(number)
            media.write(fragment.data)
            entry = IndexEntry(
                fragment.kind,
                offset,
                len(fragment.data),
                fragment.start_us,
                fragment.duration_us,
                form.crc32c(fragment.data),
            )
            records.append(form.pack_record(entry))
            offset = entry.stop
    (directory / form.INDEX).write_bytes(b"".join(records))
    (directory / form.FACTS).write_bytes(msgspec.json.encode(facts))
