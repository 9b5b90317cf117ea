"""What holds for every test."""

import pytest
from hypothesis import settings

# The same examples on every machine, and no verdict by the clock: a machine may be slow.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Where people, browsers and codecs work in the machine's own time: `make test` runs these one by one,
# when what needs no clock is over. Two calls at once would starve each other on two cores.
REAL_TIME = (
    "tests/attacks/",
    "tests/connectors/test_janus",
    "tests/console/",
    "tests/e2e/",
    "tests/faults/test_",
    "tests/isolation/",
    "tests/load/test_load.py",
    "tests/media/test_datagrams.py",
    "tests/media/test_engine.py",
    "tests/media/test_isobmff_finalising.py",
    "tests/media/test_peer.py",
    "tests/media/test_peer_chromium.py",
    "tests/recorder/test_end_to_end.py",
    "tests/signaling/test_room_backgrounds_in_chromium.py",
    "tests/signaling/test_room_files_in_chromium.py",
    "tests/signaling/test_room_in_chromium.py",
    "tests/signaling/test_room_recorded.py",
    "tests/sync/test_chromium_",
    "tests/sync/test_sync.py::test_in_sync_in_the_machines_own_time",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what runs in real time."""
    for item in items:
        if item.nodeid.startswith(REAL_TIME):
            item.add_marker(pytest.mark.real_time)
