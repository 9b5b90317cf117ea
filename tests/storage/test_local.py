"""What only a directory store does: ordinary files, and taking a spool's file over."""

from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from storage.store import ObjectProperties
from storage.stores.local.files import UNFINISHED_S_MAX
from storage.stores.local.store import LocalStore

PROPERTIES = ObjectProperties("video/mp4")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "objects"


async def test_a_directory_that_may_not_be_written_to_is_named(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # as it is for whoever is not root
    with pytest.raises(BystanderError, match="store_denied") as refused:
        await LocalStore(base).check()
    assert str(base) in refused.value.detail
    assert "credentials" not in refused.value.detail


def content(file: Path) -> bytes:
    return file.read_bytes()


def make(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def remove(file: Path) -> None:
    file.unlink()


def names_of(file: Path) -> int:
    return file.stat().st_nlink


def files(base: Path) -> list[Path]:
    return [path for path in base.rglob("*") if path.is_file()]


def visible(base: Path) -> list[str]:
    return sorted(str(path.relative_to(base)) for path in base.rglob("*") if ".bystander" not in path.parts)


async def test_a_recording_is_a_file_under_its_key(base: Path) -> None:
    store = LocalStore(base)
    await store.put("conv_1/call.mp4", b"data", PROPERTIES)
    assert visible(base) == ["conv_1", "conv_1/call.mp4"]
    assert content(base / "conv_1" / "call.mp4") == b"data"
    await store.delete("conv_1/call.mp4")
    assert visible(base) == []


async def test_an_adopted_file_is_not_copied_and_outlives_its_first_name(base: Path, tmp_path: Path) -> None:
    store = LocalStore(base)
    file = tmp_path / "media"
    make(file, b"recorded")
    assert await store.can_adopt(file)
    await store.adopt(file, "a/call.mp4", PROPERTIES)
    info = await store.adopt(file, "a/call.mp4", PROPERTIES)  # after a crash, say
    assert names_of(file) == 2
    remove(file)
    assert await store.head("a/call.mp4") == info
    assert b"".join([chunk async for chunk in store.read("a/call.mp4", 0, 8)]) == b"recorded"
    await store.delete("a/call.mp4")
    assert files(base) == []


async def test_a_file_of_another_disk_cannot_be_adopted(base: Path) -> None:
    assert not await LocalStore(base).can_adopt(Path("/dev/shm"))


async def test_what_a_crash_left_is_swept_after_a_day(base: Path) -> None:
    store = LocalStore(base)
    await store.put("a", b"", PROPERTIES)
    (base / ".bystander" / "new" / "torn").write_bytes(b"half")
    left = (base / ".bystander" / "new" / "torn").lstat().st_ctime
    store._files.sweep(left + UNFINISHED_S_MAX - 1)
    assert (base / ".bystander" / "new" / "torn").exists()
    store._files.sweep(left + UNFINISHED_S_MAX + 1)
    assert not (base / ".bystander" / "new" / "torn").exists()
