"""Seeds of the adversary: a few in every test run, hundreds in `make test-faults`; each names the world it
broke."""

from collections.abc import Iterator

import pytest

from tests.faults.adversary import STORES, Tally, play, report

QUICK = {"memory": 10, "directory": 5, "directory elsewhere": 5}
MANY = {"memory": 280, "directory": 120, "directory elsewhere": 100}


def runs(counts: dict[str, int], *, first: int) -> Iterator[object]:
    return (pytest.param(store, first, count, id=f"{store}-{count}") for store, count in counts.items())


@pytest.mark.parametrize(("store", "first", "count"), runs(QUICK, first=0))
def test_a_few_seeds(store: str, first: int, count: int) -> None:
    played(store, first, count)


@pytest.mark.faults
@pytest.mark.parametrize(("store", "first", "count"), runs(MANY, first=1000))
def test_many_seeds(store: str, first: int, count: int) -> None:
    played(store, first, count)


# What earlier seeds found; each of these worlds broke a promise once.
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
    played(store, seed, 1)


def played(store: str, first: int, count: int) -> None:
    tally = Tally()
    for seed in range(first, first + count):
        play(seed, STORES[store], tally)
    assert not tally.broken, report(store, tally, 0.0)
