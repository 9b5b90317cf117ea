"""The fragmenter: coded pictures and sound, written as soon as both tracks reach the next cut.

The video track's samples last until the next picture; the audio track's frames belong to the fragment in
which they end, because libavformat looks for the sound that is heard with a key frame, and plays some other
where none is old enough. Pure but for the `write` that it is given.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from media.audio.encoder import AAC_FRAME_SAMPLES, EncodedSound
from media.isobmff import AudioTrack, Sample, Track, TrackRun, VideoTrack, init_segment, media_fragment
from media.mux.resumption import track_ends
from media.video.encoder import VIDEO_TIMESCALE, EncodedPicture
from recorder.kernel.limits import UNWRITTEN_S_MAX
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import Written

_UNWRITTEN_US_MAX = round(UNWRITTEN_S_MAX * 1_000_000)
VIDEO_TRACK = 1
AUDIO_TRACK = 2
AUDIO_RATE = 48_000
INDEX_RESERVED_BYTES = 64 * 1024  # two sidx boxes of 2700 entries: 90 minutes at an entry every 2 s


class Fragmenter:
    """Collects samples of one or two tracks; time zero of both is the recording's zero."""

    def __init__(
        self,
        *,
        video: VideoTrack | None,
        audio: AudioTrack,
        write: Callable[[Fragment], None],
        written: Written | None = None,
    ) -> None:
        """`written`: what this goes on with. Zero is then where its sound ends, and the first picture stands
        where its last one ends, a few milliseconds later."""
        ends = track_ends(written)
        self._video = video
        self._audio = audio
        self._write = write
        self._origin_samples = ends.of(AUDIO_TRACK)
        self._origin = _to_ticks(self._origin_samples)
        self._sequence = 0 if written is None else written.fragments
        self._pictures: deque[EncodedPicture] = deque()
        self._sounds: deque[EncodedSound] = deque()
        self._cuts: deque[tuple[int, bool]] = deque()  # where (1/90000 s), and if the fragment goes on there
        self._start = self._first_picture = max(0, ends.of(VIDEO_TRACK) - self._origin)
        self.bytes_written = 0
        self.written_us = self._us(self._start)

    @property
    def origin_ns(self) -> int:
        """Where zero lies on the recording's clock: where the sound ends that this goes on with."""
        return self._origin_samples * 1_000_000_000 // AUDIO_RATE

    @property
    def fragments(self) -> int:
        """How many media fragments are written."""
        return self._sequence

    def begin(self) -> None:
        """Write the init segment."""
        tracks: list[Track] = [self._audio] if self._video is None else [self._video, self._audio]
        data = init_segment(tracks, reserved_bytes=INDEX_RESERVED_BYTES)
        self._emit(Fragment(kind=FragmentKind.INIT, data=data))

    def add_pictures(self, pictures: list[EncodedPicture]) -> None:
        """Take pictures in decoding order."""
        for picture in pictures:
            self._pictures.append(
                picture if picture.pts >= self._first_picture else replace(picture, pts=self._first_picture)
            )

    def add_sounds(self, sounds: list[EncodedSound]) -> None:
        """Take AAC frames in order, then write what is whole."""
        self._sounds.extend(sounds)
        self.flush()

    def cut(self, at: int, *, provisional: bool = False) -> None:
        """End the fragment at this time (1/90000 s), which is a key frame's where there are pictures.

        A `provisional` end is any picture's: the fragment is written, and again when it is longer.
        """
        self._cuts.append((at, provisional))
        self.flush()

    def flush(self) -> None:
        """Write every fragment whose end both tracks have reached."""
        while self._cuts and self._covered(self._cuts[0][0]):
            end, provisional = self._cuts.popleft()
            self._cut(end, provisional=provisional)

    def keep(self) -> None:
        """Write what there is of the fragment, provisionally, once it is so much longer than what is written.

        Its last picture stands as long as the sound goes on: the next one may be in the encoder still.
        """
        end = _to_ticks(self._sounds[-1].pts + self._sounds[-1].duration) if self._sounds else 0
        if not self._cuts and self._us(end) - self.written_us >= _UNWRITTEN_US_MAX:
            self._cut(end, provisional=True)

    def finish(self, end: int) -> None:
        """Write all that is left as ending at `end` (1/90000 s); the last sample of each track ends there."""
        while self._cuts:
            at, provisional = self._cuts.popleft()
            self._cut(at, provisional=provisional)
        if end > self._start and (self._pictures or self._sounds):
            self._cut(end, last=True)

    def _covered(self, end: int) -> bool:
        sound = self._sounds[-1] if self._sounds else None
        return sound is not None and _to_ticks(sound.pts + sound.duration) >= end

    def _cut(self, end: int, *, provisional: bool = False, last: bool = False) -> None:
        pictures = [picture for picture in self._pictures if picture.pts < end]
        sounds = [sound for sound in self._sounds if last or _to_ticks(sound.pts + sound.duration) <= end]
        runs = [
            run for run in (self._video_run(pictures, end), self._audio_run(sounds, end, last=last)) if run
        ]
        if not runs:
            return  # nothing begins in so short a time: it belongs to the next fragment
        fragment = Fragment(
            kind=FragmentKind.MEDIA,
            data=media_fragment(self._sequence + 1, runs),
            start_us=self._us(self._start),
            duration_us=self._us(end) - self._us(self._start),
            provisional=provisional,
        )
        if not provisional:
            self._sequence += 1
            self._start = end
            _drop(self._pictures, len(pictures))
            _drop(self._sounds, len(sounds))
        self._emit(fragment)
        self.written_us = self._us(end)

    def _video_run(self, taken: list[EncodedPicture], end: int) -> TrackRun | None:
        if not taken:
            return None
        ends = [picture.pts for picture in taken[1:]] + [end]
        samples = [
            Sample(picture.data, until - picture.pts, picture.keyframe)
            for picture, until in zip(taken, ends, strict=True)
        ]
        return TrackRun(VIDEO_TRACK, self._origin + taken[0].pts, samples)

    def _audio_run(self, taken: list[EncodedSound], end: int, *, last: bool) -> TrackRun | None:
        if not taken:
            return None
        samples = [Sample(sound.data, sound.duration, True) for sound in taken]
        if last:
            taken = taken.copy()
            self._end_exactly(taken, samples, end)
        return TrackRun(AUDIO_TRACK, self._origin_samples + taken[0].pts, samples)

    @staticmethod
    def _end_exactly(taken: list[EncodedSound], samples: list[Sample], end: int) -> None:
        """Shorten the padded last frame to what was heard; drop frames that are nothing but padding."""
        end_samples = -(-end * AUDIO_RATE // VIDEO_TIMESCALE)
        while len(taken) > 1 and taken[-1].pts >= end_samples:
            taken.pop()
            samples.pop()
        duration = max(1, min(AAC_FRAME_SAMPLES, end_samples - taken[-1].pts))
        samples[-1] = Sample(taken[-1].data, duration, True)

    def _us(self, ticks: int) -> int:
        """On the recording's clock, in microseconds."""
        return _to_us(self._origin + ticks)

    def _emit(self, fragment: Fragment) -> None:
        self._write(fragment)
        if not fragment.provisional:
            self.bytes_written += len(fragment.data)


def _drop(queue: deque[EncodedPicture] | deque[EncodedSound], count: int) -> None:
    for _ in range(count):
        queue.popleft()


def _to_ticks(samples: int) -> int:
    return samples * VIDEO_TIMESCALE // AUDIO_RATE


def _to_us(ticks: int) -> int:
    return ticks * 1_000_000 // VIDEO_TIMESCALE
