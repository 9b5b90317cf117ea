"""Seeds of the adversary: a few in every test run, hundreds in `make test-faults`; each names the world it
broke."""

import asyncio
from collections.abc import Iterable

import pytest

from tests.faults.adversary import WIDE, Tally, Terms, play, report

QUICK = {"memory": 9, "directory": 4, "directory elsewhere": 4, "rclone": 2, "sftp": 1}
MANY = {"memory": 150, "directory": 100, "directory elsewhere": 80, "rclone": 60, "moto": 50, "sftp": 60}
SLOWER = {"azurite": 30, "swift": 10}  # whose servers `make test-stores` installs


@pytest.mark.parametrize(("store", "count"), QUICK.items())
def test_a_few_seeds(store: str, count: int) -> None:
    played(store, range(count), Terms(kills=False))


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("store", "count"), MANY.items())
def test_many_seeds(store: str, count: int) -> None:
    played(store, range(1000, 1000 + count))


@pytest.mark.stores
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("store", "count"), SLOWER.items())
def test_seeds_on_slower_servers(store: str, count: int) -> None:
    played(store, range(1000, 1000 + count))


# What earlier seeds found; each of these worlds broke a promise once. They were drawn from fewer steps.
FOUND = [
    ("memory", 36),  # an upload of later than a restored backup was left dangling
    ("memory", 65),  # a stale list hid what lay beside an upload, which stayed for ever
    ("memory", 72),  # a sign of life that a stale answer hid was taken for a lost node
    ("memory", 105),  # a bit flipped in a fragment whose record was lost was called whole
    ("memory", 114),  # damaged events of the bucket took the place of sound ones of the spool
    ("memory", 148),  # a spool without facts was restored while its writer still wrote
    ("memory", 320),  # a flipped bit in upload.json stored the object under another key
    ("memory", 416),  # damaged facts cost what the bucket did not have yet
    ("memory", 837),  # a flipped bit in both copies of the facts did the same
    ("memory", 10271),  # fragments found again by their boxes were called proved though a bit had flipped
    ("memory", 12595),  # tables of an ordinary file were counted as recorded media
    ("memory", 10613),  # a spool was restored from a bucket that held less than its own media
    ("directory", 36),  # the seek index was written over a fragment whose record was lost
    ("directory", 10108),  # tables that were written behind a cut file were taken for a fragment
    ("directory elsewhere", 10605),  # an object was to be read back against a spool without an index
    ("directory elsewhere", 23),  # events that were acknowledged and not kept were never looked for
]


@pytest.mark.parametrize(("store", "seed"), FOUND)
def test_what_was_found_stays_found(store: str, seed: int) -> None:
    played(store, [seed], Terms(wide=False))


def played(store: str, seeds: Iterable[int], terms: Terms = WIDE) -> None:
    tally = Tally()
    asyncio.run(play(store, seeds, tally, terms))
    assert not tally.broken, report(store, tally, 0.0)
