"""What happened is kept beside an upload line by line, whatever comes between, in objects of bounded size."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.spool.writer import EVENT_BYTES_MAX
from storage.takeover.journal_events import EVENTS_BYTES_MAX, EventsKept, joined, read_lines

LINES = st.lists(st.integers(1, EVENT_BYTES_MAX), max_size=12)
ROUNDS = st.lists(st.tuples(LINES, st.booleans()), max_size=6)


@settings(max_examples=60, deadline=None)
@given(rounds=ROUNDS, cut=st.integers(0, 5))
def test_all_lines_are_kept_whatever_restarts(
    rounds: list[tuple[list[int], bool]], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    store: dict[str, bytes] = {}
    written, kept = b"", EventsKept({})
    for sizes, restarts in rounds:
        if restarts:
            kept = EventsKept({name: len(data) for name, data in store.items()})
        written += b"".join(b"x" * (size - 1) + b"\n" for size in sizes)
        path.write_bytes(written + b"y" * cut)  # of a line that is being written
        more = True
        while more:
            lines = read_lines(path, kept.start)
            if (name := kept.name_for(lines)) is not None:
                store[name] = lines
            more = kept.stored(lines)
    assert joined(store) == written
    assert all(len(data) <= EVENTS_BYTES_MAX for data in store.values())


def test_nothing_is_stored_where_nothing_happened(tmp_path: Path) -> None:
    kept = EventsKept({})
    assert read_lines(tmp_path / "none", 0) == b""
    assert kept.name_for(b"") is None
    assert not kept.stored(b"")


def test_what_is_after_a_gap_is_no_part_of_it() -> None:
    kept = EventsKept({"events-0000000000000000": 4, "events-0000000000000009": 3})
    assert (kept.start, kept.name_for(b"1\n2\n")) == (0, None)
    assert joined({"events-0000000000000000": b"1\n2\n", "events-0000000000000009": b"3\n"}) == b"1\n2\n"
