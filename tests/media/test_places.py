"""Places read from the head of a file: those that were written into it, however much of it was read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.hls.seek_index import NoIndexError, header_bytes, read_places
from media.isobmff.box_reader import MalformedError
from tests.support import muxing

FILE = muxing.sample_file(6.0)


def test_a_finalised_file_says_where_its_fragments_are() -> None:
    placed = read_places(FILE.finalised)
    assert placed is not None
    assert placed.header_bytes == header_bytes(FILE.init) == header_bytes(FILE.data)
    box = FILE.init[placed.header_bytes :]
    assert box[4:8] == b"free"  # so the header ends where the reserved room begins
    assert header_bytes(FILE.init[: placed.header_bytes - 1]) is None
    assert [(place.offset, place.size) for place in placed.fragments] == [
        (place.offset, place.size) for place in FILE.places
    ]
    for found, written in zip(placed.fragments, FILE.places, strict=True):
        assert abs(found.start_us - written.start_us) <= 2
        assert abs(found.duration_us - written.duration_us) <= 100  # until the next begins, in whole ticks


@given(st.integers(0, len(FILE.finalised)))
def test_a_shorter_head_says_the_same_or_nothing(length: int) -> None:
    found = read_places(FILE.finalised[:length])
    assert found == (read_places(FILE.finalised) if length >= len(FILE.init) + 8 else None)


def test_a_damaged_head_has_no_header() -> None:
    assert header_bytes(b"\0\0\0\x08\x04\x84mo" + FILE.init) is None


def test_a_file_without_an_index_is_told_from_a_head_that_is_too_short() -> None:
    with pytest.raises(NoIndexError):
        read_places(FILE.data)


@given(st.binary(max_size=200), st.integers(0, len(FILE.init)))
def test_damage_is_malformed_or_nothing_else(noise: bytes, at: int) -> None:
    damaged = FILE.finalised[:at] + noise + FILE.finalised[at + len(noise) :]
    try:
        read_places(damaged)
    except (NoIndexError, MalformedError):
        return
