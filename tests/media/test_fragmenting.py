from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from media.audio.encoder import EncodedSound
from media.isobmff import AudioTrack, VideoTrack
from media.mux.fragmenter import INDEX_RESERVED_BYTES, Fragmenter
from media.video.encoder import EncodedPicture
from recorder.kernel.media import Fragment, FragmentKind

VIDEO = VideoTrack(1, 90_000, 320, 180, bytes.fromhex("0142c01effe100046742c01e01000468ce3c80"))
AUDIO = AudioTrack(2, 48_000, 1, bytes.fromhex("1188"))


def sounds(count: int) -> list[EncodedSound]:
    return [EncodedSound(b"sound", index * 1024) for index in range(count)]


class TestFragments:
    def make(self, *, video: bool = True) -> tuple[Fragmenter, list[Fragment]]:
        written: list[Fragment] = []
        made = Fragmenter(video=VIDEO if video else None, audio=AUDIO, write=written.append)
        made.begin()
        return made, written

    def test_the_init_segment_has_room_for_the_index(self) -> None:
        _, written = self.make()
        assert written[0].kind is FragmentKind.INIT
        assert len(written[0].data) > INDEX_RESERVED_BYTES

    def test_a_fragment_waits_for_the_sound_to_reach_its_end(self) -> None:
        made, written = self.make()
        made.add_pictures([EncodedPicture(b"key", 0, True)])
        made.cut(90_000)
        made.add_sounds(sounds(46))
        assert len(written) == 1
        made.add_sounds([EncodedSound(b"sound", 46 * 1024)])
        assert (written[1].start_us, written[1].duration_us) == (0, 1_000_000)

    def test_finishing_gives_everything_and_ends_exactly(self) -> None:
        made, written = self.make()
        made.add_pictures([EncodedPicture(b"key", 0, True), EncodedPicture(b"next", 45_000, False)])
        made.add_sounds(sounds(60))  # 1.28 s, of which 1 s was heard
        made.finish(90_000)
        (fragment,) = written[1:]
        assert (fragment.start_us, fragment.duration_us) == (0, 1_000_000)
        assert fragment.data.count(b"sound") == 47
        assert made.bytes_written == sum(len(fragment.data) for fragment in written)

    def test_what_there_is_of_a_fragment_is_kept_each_second(self) -> None:
        made, written = self.make()
        for index in range(200):  # 4.27 s
            if index % 10 == 0:
                made.add_pictures([EncodedPicture(b"picture", index * 1920, index == 0)])
            made.add_sounds([EncodedSound(b"sound", index * 1024)])
            made.keep()
        kept = written[1:]
        assert [fragment.provisional for fragment in kept] == [True] * 4
        assert [fragment.start_us for fragment in kept] == [0] * 4
        lasts_us = [0, *(fragment.duration_us for fragment in kept), 200 * 1024 * 1_000_000 // 48_000]
        assert all(later - earlier <= 1_000_000 + 22_000 for earlier, later in pairwise(lasts_us))
        assert made.written_us == kept[-1].duration_us
        made.cut(200 * 1920)
        assert not written[-1].provisional
        assert (written[-1].data.count(b"sound"), written[-1].data.count(b"picture")) == (200, 20)

    def test_nothing_recorded_is_nothing_written(self) -> None:
        made, written = self.make()
        made.finish(0)
        assert len(written) == 1

    @given(st.lists(st.integers(1, 180_000), min_size=1, max_size=30), st.booleans())
    @settings(deadline=None, max_examples=50)
    def test_every_sample_is_in_one_fragment(self, lengths: list[int], video: bool) -> None:
        made, written = self.make(video=video)
        at = 0
        total = 0
        for length in lengths:
            if video:
                made.add_pictures([EncodedPicture(b"picture", at, True)])
            at += length
            needed = at * 48_000 // 90_000 // 1024 + 2
            made.add_sounds([EncodedSound(b"sound", index * 1024) for index in range(total, needed)])
            total = max(total, needed)
            made.cut(at)
        made.finish(at)
        media = written[1:]
        data = b"".join(fragment.data for fragment in media)
        assert data.count(b"picture") == (len(lengths) if video else 0)
        assert total - 2 <= data.count(b"sound") <= total
        assert all(one.start_us + one.duration_us == two.start_us for one, two in pairwise(media))
