"""A server that is root, with a program that others may read: its workers are somebody else."""

import os
import pwd
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from media.check.file import check_file
from tests.support.api_client import ApiClient
from tests.support.server import running_server

USER = "nobody"
SYSTEM_PYTHON = Path("/usr/bin/python3")
PROJECT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else"),
]


@pytest.fixture
def python() -> Iterator[str]:
    """The system's Python with the packages of this one: ours may be where nobody else may look."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", directory], check=True)
        program = f"{directory}/bin/python"
        (packages,) = Path(directory).glob("lib/python3.*/site-packages")
        (packages / "all.pth").write_text(sysconfig.get_path("purelib") + "\n")
        ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
        if packages.parent.name != ours:
            pytest.skip(f"the system has {packages.parent.name}, and the packages are for {ours}")
        can_import = ["su", "-s", "/bin/sh", USER, "-c", f"{program} -c 'import av, recorder'"]
        if subprocess.run(can_import, cwd=PROJECT, check=False).returncode:
            pytest.skip(f"{USER} may not read what is tested")
        yield program


async def test_a_recording_by_somebody_else(tmp_path: Path, python: str) -> None:
    with running_server(tmp_path / "data", python=python) as server:
        async with ApiClient(server) as api:
            recording = await api.start()
            (worker,) = map(psutil.Process, server.workers())
            uids, gids = worker.uids(), worker.gids()
            async with api.publishing(recording["entry_point"], participant="p1", name="Ada"):
                await api.until_it(recording["id"], lambda now: (now["duration_s"] or 0) > 1)
                owner = (tmp_path / "data" / "spool" / recording["id"] / "media").stat().st_uid
                await api.stop(recording["id"])
            over = await api.until(recording["id"], "AVAILABLE", "FAILED")
            assert (over["state"], over["failure"]) == ("AVAILABLE", None)
            (tmp_path / "recording.mp4").write_bytes(await api.media(recording["id"]))
        assert "user" in next(line for line in server.log.read_text().splitlines() if "confined" in line)
    account = pwd.getpwnam(USER)
    assert {*uids, owner} == {account.pw_uid}
    assert set(gids) == {account.pw_gid}
    assert check_file(tmp_path / "recording.mp4").problems == []
