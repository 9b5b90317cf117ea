"""The sound of a recording over time: sources mixed, encoded, and cut where no pictures say so."""

from collections.abc import Iterable, Iterator

from media.audio.encoder import AAC_FRAME_SAMPLES, AudioEncoder, EncodedSound
from media.audio.mixer import Mix
from media.isobmff import AudioTrack
from media.mux.fragmenter import AUDIO_RATE, AUDIO_TRACK
from media.render.streams import SoundSource
from media.video.encoder import VIDEO_TIMESCALE

FIRST_FRAGMENT_FRAMES = 24  # half a second of sound, so that something is safe early
NS = 1_000_000_000


class AudioTrackRenderer:
    """Takes sources, gives encoded sound up to any instant; times are on the recording's clock."""

    def __init__(self, *, channels: int, bitrate: int, fragment_ns: int) -> None:
        """`channels`: one for voices, which have no direction: all the bits make it better; or two."""
        self._channels = channels
        self._mix = Mix(channels)
        self._encoder = AudioEncoder(channels=channels, bitrate=bitrate)
        self.track = AudioTrack(AUDIO_TRACK, AUDIO_RATE, channels, self._encoder.asc)
        self._frames_per_fragment = fragment_ns * AUDIO_RATE // NS // AAC_FRAME_SAMPLES
        self._cut_at = 0  # samples

    def new_source(self, key: str, session: str) -> SoundSource:
        """A stream that will be heard."""
        return SoundSource(key, session, self._mix, self._channels)

    def render(self, sources: Iterable[SoundSource], until_ns: int, zero_ns: int) -> list[EncodedSound]:
        """Let the sources play on, and encode what is heard up to `until_ns`."""
        for source in sources:
            source.play(zero_ns + until_ns, zero_ns)
        samples = self._mix.read(until_ns * AUDIO_RATE // NS)
        return self._encoder.encode(samples) if samples.shape[1] else []

    def cuts(self) -> Iterator[int]:
        """Where (1/90000 s) fragments end that are now rendered: each so many whole AAC frames."""
        while self._mix.position >= (at := self._next_cut()):
            self._cut_at = at
            yield at * VIDEO_TIMESCALE // AUDIO_RATE

    def finish(self) -> list[EncodedSound]:
        """Empty the encoder."""
        return self._encoder.flush()

    def _next_cut(self) -> int:
        usual = self._frames_per_fragment
        frames = usual if self._cut_at else min(FIRST_FRAGMENT_FRAMES, usual)
        return self._cut_at + frames * AAC_FRAME_SAMPLES
