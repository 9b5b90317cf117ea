"""What the server does to its own process before it serves anybody."""

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.kernel.errors import BystanderError
from recorder.node.process import check_bind_host, connections_within


@pytest.mark.parametrize(
    ("wanted", "descriptors", "granted"),
    [(4_096, 65_536, 4_096), (4_096, 4_096, 3_584), (4_096, 1_024, 512), (4_096, 256, 128), (4_096, 64, 64)],
)
def test_the_store_and_the_workers_find_descriptors(wanted: int, descriptors: int, granted: int) -> None:
    assert connections_within(wanted, descriptors) == granted


def test_the_soft_limit_is_raised_as_far_as_it_goes() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 2048));"
        "from recorder.node.process import raise_descriptor_limit;"
        "print(raise_descriptor_limit(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["2048", "2048", "2048"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] >= 2048


def test_nobody_else_reads_what_is_made(tmp_path: Path) -> None:
    code = (
        "import sys; from recorder.node.process import make_private; make_private(); open(sys.argv[1], 'w')"
    )
    file = tmp_path / "made"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, env={**os.environ})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_media_goes_by_an_address_that_this_machine_has() -> None:
    check_bind_host(None)
    check_bind_host("127.0.0.1")
    with pytest.raises(BystanderError, match=r"call\.bind_host: '192\.0\.2\.1': this machine has no such"):
        check_bind_host("192.0.2.1")
