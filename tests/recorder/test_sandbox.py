"""A worker's walls, tried from inside a real one by what its attacker would try."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.kernel.media import IceServer, Publisher
from recorder.worker.protocol import Hello
from recorder.worker.sandbox import landlock, privileges, seccomp
from recorder.worker.sandbox.confinement import MEMORY_BYTES_MAX, tcp_ports
from recorder.worker_pool.forkserver import Forkserver
from recorder.worker_pool.pool import WorkerPool
from recorder.worker_pool.worker import Worker
from tests.recorder.test_workers import RECORDING, Ear, order
from tests.support import fake_workers
from tests.support.attempts import DONE

needs_landlock = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")
needs_tcp_rules = pytest.mark.skipif(landlock.version() < landlock.VERSION_OF_TCP, reason="as above")


@pytest.fixture
async def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Worker]:
    """One whose server has a secret in its environment."""
    monkeypatch.setenv("BYSTANDER_SECRET_OF_A_TEST", "a secret of a test")
    run = tmp_path / "run"
    run.mkdir()
    pool = WorkerPool(run, Forkserver(fake_workers.main, preload=["tests.support.fake_workers"]))
    ear = Ear()
    made = await pool.launch(RECORDING, order(tmp_path), ear)
    await ear.until(Hello)
    yield made
    made.kill()
    await made.gone()
    await pool.close()


async def tried(worker: Worker, attempt: str, what: object = "") -> str:
    return (await worker.publish("ses", Publisher(participant="p", name=attempt), str(what)))[0]


@needs_landlock
async def test_files_of_others_are_out_of_reach(worker: Worker, tmp_path: Path) -> None:
    secret, other = tmp_path / "api-key", tmp_path / "spool" / "rec_2"
    secret.write_text("key")
    other.mkdir()
    for path in ("/etc/passwd", "/etc/shadow", "/proc/self/environ", f"/proc/{os.getpid()}/environ", secret):
        assert await tried(worker, "read", path) in ("EACCES", "EPERM"), path
    assert await tried(worker, "list", other) == "EACCES"
    assert await tried(worker, "list", tmp_path) == "EACCES"
    for path in (secret, other / "media", "/tmp/of-a-worker", "/dev/shm/of-a-worker"):
        assert await tried(worker, "write", path) == "EACCES", path
    assert secret.read_text() == "key"


async def test_its_own_directory_is_not(worker: Worker) -> None:
    assert await tried(worker, "write", "something") == DONE
    assert await tried(worker, "read", "facts.json") == DONE


OURSELVES = "this process"


@pytest.mark.parametrize(
    ("attempt", "what"),
    [
        ("execute", "/bin/true"),
        ("fork", ""),
        ("signal", OURSELVES),
        ("trace", OURSELVES),
        ("mount", "/mnt"),
        ("raw_socket", ""),
        ("environment", "a secret of a test"),
        ("allocate", 2 * MEMORY_BYTES_MAX),
    ],
)
async def test_what_is_refused(worker: Worker, attempt: str, what: object) -> None:
    target = os.getpid() if what == OURSELVES else what
    assert await tried(worker, attempt, target) in ("EPERM", "EAFNOSUPPORT", "ENOMEM")


async def test_it_speaks_by_datagrams_alone(worker: Worker, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert await tried(worker, "connect_tcp", listener.getsockname()[1]) == "EACCES"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        assert await tried(worker, "connect_unix", tmp_path / "s") == "EAFNOSUPPORT"
    assert await tried(worker, "datagram", 9) == DONE


async def test_it_says_which_walls_stand(worker: Worker) -> None:
    await worker.sample()
    assert worker.statistics is not None
    assert {"environment", "limits", "capabilities", "no_new_privs"} <= set(worker.statistics.walls)
    status = await asyncio.to_thread(Path(f"/proc/{worker.pid}/status").read_text)
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")
    assert all(int(facts[kind], 16) == 0 for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_root_becomes_another_who_owns_the_spool(tmp_path: Path) -> None:
    (tmp_path / "media").touch()
    reading, writing = os.pipe()
    if (pid := os.fork()) == 0:
        became = privileges.become("nobody", tmp_path, ())
        os.write(writing, f"{became} {os.getresuid() == (os.geteuid(),) * 3} {os.geteuid() != 0}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"True True True"
    os.close(reading)
    os.close(writing)
    assert (tmp_path / "media").stat().st_uid == tmp_path.stat().st_uid != 0


def test_nobody_becomes_who_could_not_read_the_program(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    assert not privileges.become("nobody", tmp_path, (hidden,))
    assert not privileges.become("no such account", tmp_path, ())
    assert os.geteuid() == os.getuid()


@needs_landlock
def test_a_wall_that_shuts_out_the_recording_itself_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        landlock.restrict(write=tmp_path / "missing", read=(), tcp_ports=())


@given(pid=st.integers(1, 1 << 22), tcp=st.booleans(), machine=st.sampled_from(["x86_64", "aarch64"]))
def test_every_jump_of_the_filter_ends_inside_it(pid: int, tcp: bool, machine: str) -> None:
    program = seccomp.program(machine, pid=pid, tcp=tcp)
    assert program[-1][0] == 0x06  # a return
    for place, (_, if_true, if_false, _) in enumerate(program):
        assert place + 1 + max(if_true, if_false) < len(program) or program[place][0] == 0x06


def test_tcp_is_for_turn_alone() -> None:
    assert tcp_ports([IceServer(urls=["stun:s.example", "turn:t.example?transport=udp"])]) == []
    assert tcp_ports([IceServer(urls=["turns:t.example", "turn:t.example:80?transport=tcp"])]) == [
        53,
        80,
        5349,
    ]
