"""Spools of the storage tests."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from storage.spool import SpoolFacts, SpoolWriter

RECORDING = "rec_00000000000000000000000001"


def facts(recording: str = RECORDING) -> SpoolFacts:
    return SpoolFacts(
        recording=recording,
        conversation="conv_1",
        key=f"conv_1/{recording}.mp4",
        content_type="video/mp4",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def create(root: Path) -> Iterator[Callable[..., SpoolWriter]]:
    """Makes writers and closes them at the end."""
    writers: list[SpoolWriter] = []

    def make(recording: str = RECORDING) -> SpoolWriter:
        writers.append(SpoolWriter.create(root, facts(recording)))
        return writers[-1]

    yield make
    for writer in writers:
        writer.close()
