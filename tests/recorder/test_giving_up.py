"""What is kept of a recording that is incomplete in the store ends by one command, and by no other."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorder.cli import main
from recorder.kernel.clock import ManualClock
from recorder.kernel.ids import new_id
from recorder.kernel.media import Fragment, FragmentKind
from recorder.kernel.recording import EndReason
from storage.settings import StorageSettings
from storage.spool import SpoolFacts, SpoolWriter
from storage.store import RECORDING_MARK, ObjectProperties
from storage.stores.local.store import LocalStore
from storage.takeover.damaged_spool import put_aside
from storage.upload.uploader import Uploader

MEDIA = b"media"


def spooled(data: Path) -> str:
    """A recording of two fragments that is over and not stored."""
    recording = new_id("rec")
    facts = SpoolFacts(
        recording=recording,
        conversation="conv_1",
        key=f"conv_1/{recording}.mp4",
        content_type="video/mp4",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    writer = SpoolWriter.create(data / "spool", facts)
    writer.append(Fragment(kind=FragmentKind.INIT, data=b"init"))
    for _ in range(2):
        writer.append(Fragment(kind=FragmentKind.MEDIA, data=MEDIA, duration_us=2_000_000))
    writer.end(EndReason.NORMAL, None, 4_000_000)
    writer.close()
    return recording


def incomplete(data: Path) -> str:
    """A recording whose second fragment is gone, stored without it."""
    recording = spooled(data)
    with (data / "spool" / recording / "media").open("r+b") as file:
        file.truncate(len(b"init" + MEDIA))
    asyncio.run(stored(data, recording))
    return recording


async def put_object(data: Path, recording: str, mark: str, content: bytes) -> Path:
    """Somebody's object under the recording's key."""
    store = LocalStore(data / "recordings")
    key = f"conv_1/{recording}.mp4"
    await store.put(key, content, ObjectProperties("video/mp4", ((RECORDING_MARK, mark),)))
    return data / "recordings" / key


async def stored(data: Path, recording: str) -> None:
    store = LocalStore(data / "recordings")
    uploader = Uploader(store, data / "spool", ManualClock(), StorageSettings())
    await uploader.finish(recording)
    await uploader.forget(recording)
    await uploader.close()
    await store.close()


def recover(data: Path, *more: str) -> int:
    return main(["recover", "--data-dir", str(data), *more])


def test_what_is_kept_is_listed_and_goes_when_it_is_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording, other = incomplete(tmp_path), incomplete(tmp_path)
    capsys.readouterr()
    assert recover(tmp_path) == 0
    kept = f"{recording}  media_missing: "
    assert kept in capsys.readouterr().out
    aside = tmp_path / "spool" / recording / "aside"
    assert aside.is_dir()
    assert recover(tmp_path, "--give-up", recording) == 0
    assert f"removing {kept}" in capsys.readouterr().out
    assert main(["audit", "export", "--data-dir", str(tmp_path)]) == 0
    (entry,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (entry["action"], entry["actor"]["kind"], entry["recording"]) == (
        "keptGivenUp",
        "command",
        recording,
    )
    assert entry["details"]["reason"] == "media_missing"
    assert not aside.exists()
    assert (tmp_path / "spool" / other / "aside").is_dir()
    assert (tmp_path / "recordings" / "conv_1" / f"{recording}.mp4").read_bytes() == b"init" + MEDIA
    asyncio.run(stored(tmp_path, recording))
    assert not (tmp_path / "spool" / recording).exists()


def test_nothing_goes_without_the_id_of_something_that_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = incomplete(tmp_path)
    with pytest.raises(SystemExit) as left:
        recover(tmp_path, "--give-up")
    assert left.value.code == 2
    for other, code in ((new_id("rec"), "nothing_set_aside"), (f"../spool/{recording}", "invalid")):
        capsys.readouterr()
        assert recover(tmp_path, "--give-up", other) == 1
        assert code in capsys.readouterr().err
    assert (tmp_path / "spool" / recording / "aside").is_dir()


@pytest.mark.parametrize("code", ["stored_is_longer", "object_foreign", "spool_damaged"])
def test_whatever_keeps_a_spool_is_listed_with_its_reason_and_ends_by_the_same_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    recording, other = spooled(tmp_path), incomplete(tmp_path)
    longer = b"other" * 100
    mark = recording if code == "stored_is_longer" else new_id("rec")
    held = asyncio.run(put_object(tmp_path, recording, mark, longer))
    if code == "spool_damaged":
        for name in ("facts.json", "facts.copy"):
            (tmp_path / "spool" / recording / name).write_bytes(b"")
    assert recover(tmp_path) == 1
    assert f"{recording}  {code}: " in capsys.readouterr().out
    assert recover(tmp_path, "--give-up", recording) == 0
    assert f"removing {recording}  {code}: " in capsys.readouterr().out
    assert not (tmp_path / "spool" / recording).exists()
    assert held.read_bytes() == longer
    assert recover(tmp_path, "--give-up", recording) == 1
    assert (tmp_path / "spool" / other / "aside").is_dir()


def test_a_spool_that_still_waits_for_its_store_is_not_given_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = spooled(tmp_path)
    assert recover(tmp_path, "--give-up", recording) == 1
    assert "nothing_set_aside" in capsys.readouterr().err
    assert (tmp_path / "spool" / recording / "media").exists()


def test_what_was_left_of_a_spool_that_was_made_again_is_listed_and_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = spooled(tmp_path)
    put_aside(tmp_path / "spool", recording)
    assert recover(tmp_path) == 0
    assert f"{recording}  made_again: " in capsys.readouterr().out
    assert recover(tmp_path, "--give-up", recording) == 0
    assert list((tmp_path / "spool" / ".damaged").iterdir()) == []
