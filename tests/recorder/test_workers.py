"""Worker processes: launched, spoken to, killed, confused, left behind and found again."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil
import pytest
from prometheus_client import CollectorRegistry

import recorder.worker_pool.pool
import recorder.worker_pool.sampler
import recorder.worker_pool.worker
from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import WORKER_REQUESTS_PENDING_MAX
from recorder.kernel.media import MediaEvent, Publisher
from recorder.kernel.recording import EndReason, RecordingPlan
from recorder.worker.notes import NOTES_MAX
from recorder.worker.order import WorkerOrder
from recorder.worker.protocol import Ended, Event, Happened, Hello, SpoolGrew
from recorder.worker_pool.forkserver import ENVIRONMENT, Forkserver
from recorder.worker_pool.pool import WorkerPool
from recorder.worker_pool.reconnects import RECONNECTS_WINDOW_S, ReconnectBudget
from recorder.worker_pool.sampler import Sampler
from recorder.worker_pool.socket_path import connect, listen, socket_path
from recorder.worker_pool.stream_counters import StreamCounters
from recorder.worker_pool.worker import UNANSWERED_SAMPLES_MAX, Worker, WorkerGone
from storage.spool import SpoolReader
from tests.support import fake_workers

RECORDING = "rec_1"
EVENT_S_MAX = 20.0

_Kind = TypeVar("_Kind")


class Ear:
    """Hears everything that a worker says, and can wait for some of it."""

    def __init__(self) -> None:
        self.heard: list[Event | WorkerGone] = []
        self._news = asyncio.Event()

    def __call__(self, event: Event | WorkerGone) -> None:
        self.heard.append(event)
        self._news.set()

    async def until(self, kind: type[_Kind]) -> _Kind:
        """The first event of this kind."""
        async with asyncio.timeout(EVENT_S_MAX):
            while not (found := [event for event in self.heard if isinstance(event, kind)]):
                self._news.clear()
                await self._news.wait()
        return found[0]


@pytest.fixture
def run_directory(tmp_path: Path) -> Path:
    directory = tmp_path / "run"
    directory.mkdir()
    return directory


@pytest.fixture
async def workers(run_directory: Path) -> AsyncIterator[WorkerPool]:
    """Fake workers; none may be left."""
    made = WorkerPool(run_directory, Forkserver(fake_workers.main, preload=["tests.support.fake_workers"]))
    await made.warm_up()
    yield made
    left = list(made)
    for worker in left:
        worker.kill()
        await worker.gone()
    await made.close()


def order(tmp_path: Path, *, trouble: str | None = None, zero_ns: int | None = None) -> bytes:
    plan = RecordingPlan(recording=RECORDING, conversation="conv_1", bind_host=trouble, zero_ns=zero_ns)
    return msgspec.msgpack.encode(
        WorkerOrder(
            plan=plan,
            spool=str(tmp_path / "spool"),
            key="conv_1/rec_1.mp4",
            content_type="video/mp4",
            created_at=SystemClock().utc_now(),
        )
    )


async def publish(worker: Worker, name: str = "Ada") -> tuple[str, str]:
    return await worker.publish("ses_1", Publisher(participant="p1", name=name), "offer")


def runs(pid: int) -> bool:
    """Whether there is such a process, and not merely its exit code."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def is_empty(directory: Path) -> bool:
    return not list(directory.iterdir())


class TestALife:
    async def test_greets_answers_tells_and_exits_after_stop(
        self, workers: WorkerPool, tmp_path: Path, run_directory: Path
    ) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        hello = await ear.until(Hello)
        assert (hello.recording, hello.pid) == (RECORDING, worker.pid)
        assert await publish(worker) == ("answer to offer", "etag-1")
        assert (await ear.until(Happened)).event.kind == "recording_started"
        assert (await ear.until(SpoolGrew)).fragments == 2
        assert await worker.trickle("ses_1", "a=candidate", "etag-1") is None
        assert await worker.trickle("ses_1", "a=ice-ufrag", "*") == ("restarted", "etag-2")
        stopped = await worker.stop(EndReason.NORMAL)
        assert (stopped.reason, stopped.duration_s, stopped.bytes) == (EndReason.NORMAL, 1.0, 2000)
        await worker.gone()
        assert not runs(worker.pid)
        assert is_empty(run_directory)
        assert len(workers) == 0
        reader = SpoolReader.open(tmp_path / "spool", RECORDING)
        assert reader.ending is not None
        assert reader.ending.reason is EndReason.NORMAL
        assert b"recording_started" in reader.events()
        reader.close()

    async def test_writes_a_note_once_at_its_time(self, workers: WorkerPool, tmp_path: Path) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        await publish(worker)  # the fake engine's clock: a second for each fragment
        noted = MediaEvent(kind="consent_given", at_s=0.0, participant="p1")
        for identity, ago_s in (("1", 0.5), ("1", 0.5), ("2", 60.0)):
            await worker.note(identity, noted, ago_s)
        await worker.stop(EndReason.NORMAL)
        await worker.gone()
        reader = SpoolReader.open(tmp_path / "spool", RECORDING)
        events = [msgspec.json.decode(line, type=MediaEvent) for line in reader.events().splitlines()]
        reader.close()
        told = [(event.kind, event.at_s) for event in events if event.participant == "p1"]
        assert told == [("consent_given", 1.5), ("consent_given", 0.0)]

    async def test_takes_a_bounded_number_of_notes(self, workers: WorkerPool, tmp_path: Path) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        event = MediaEvent(kind="consent_given", at_s=0.0)
        for number in range(NOTES_MAX):
            await worker.note(str(number), event, 0.0)
        with pytest.raises(BystanderError, match="overloaded"):
            await worker.note("one more", event, 0.0)
        await worker.note("0", event, 0.0)  # is known

    async def test_its_own_session_and_deaf_to_sigint(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        await ear.until(Hello)
        assert os.getsid(worker.pid) == worker.pid
        os.kill(worker.pid, signal.SIGINT)
        await worker.sample()
        assert worker.statistics is not None
        assert worker.statistics.cpu_s > 0

    async def test_sigterm_is_a_stop(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        await publish(worker)
        os.kill(worker.pid, signal.SIGTERM)
        ended = await ear.until(Ended)
        assert (ended.reason, ended.failure, ended.bytes) == (EndReason.ABORT_SYSTEM, None, 2000)

    async def test_ends_by_itself(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        with suppress(BystanderError):  # the answer and the end cross
            await publish(worker, "ends")
        ended = await ear.until(Ended)
        assert (ended.reason, ended.failure) == (EndReason.ABORT_TIMEOUT, "no_media")
        await worker.gone()

    async def test_says_why_it_cannot_begin(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        await workers.launch(RECORDING, order(tmp_path, trouble="refuses"), ear)
        assert (await ear.until(Ended)).failure == "engine_failed"
        await ear.until(WorkerGone)

    async def test_the_socket_is_for_this_user_only(
        self, workers: WorkerPool, tmp_path: Path, run_directory: Path
    ) -> None:
        await workers.launch(RECORDING, order(tmp_path), Ear())
        assert socket_path(run_directory, RECORDING).stat().st_mode & 0o777 == 0o600


class TestTrouble:
    async def test_kill_9_is_noticed(self, workers: WorkerPool, tmp_path: Path, run_directory: Path) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        await publish(worker)
        os.kill(worker.pid, signal.SIGKILL)
        assert (await ear.until(WorkerGone)).failure == "worker_died"
        assert is_empty(run_directory)

    async def test_a_crash_fails_what_was_asked(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        with pytest.raises(BystanderError, match="worker_unreachable"):
            await publish(worker, "crash")
        assert (await ear.until(WorkerGone)).failure == "worker_died"

    async def test_a_death_before_the_greeting(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        await workers.launch(RECORDING, order(tmp_path, trouble="dies"), ear)
        assert (await ear.until(WorkerGone)).failure == "worker_died"
        assert not [event for event in ear.heard if isinstance(event, Hello)]

    async def test_refusals_cross_whole(self, workers: WorkerPool, tmp_path: Path) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        with pytest.raises(BystanderError) as refused:
            await publish(worker, "refused")
        assert (refused.value.code, refused.value.status) == ("unusable_offer", 422)

    async def test_a_defect_in_an_answer_ends_nothing(self, workers: WorkerPool, tmp_path: Path) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        with pytest.raises(BystanderError) as refused:
            await publish(worker, "defect")
        assert (refused.value.code, refused.value.status) == ("internal", 500)
        assert await publish(worker) == ("answer to offer", "etag-1")

    async def test_an_answer_that_never_comes(
        self, workers: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        with monkeypatch.context() as patience:
            patience.setattr(recorder.worker_pool.worker, "PUBLISH_TIMEOUT_S", 0.05)
            with pytest.raises(BystanderError, match="worker_unreachable"):
                await publish(worker, "hang")
        assert await publish(worker) == ("answer to offer", "etag-1")  # only that one is lost

    async def test_one_that_hangs_is_killed(
        self, workers: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        await publish(worker)
        monkeypatch.setattr(recorder.worker_pool.worker, "PUBLISH_TIMEOUT_S", 0.05)
        monkeypatch.setattr(recorder.worker_pool.worker, "STATISTICS_TIMEOUT_S", 0.05)
        with pytest.raises(BystanderError, match="worker_unreachable"):
            await publish(worker, "freeze")
        for _ in range(UNANSWERED_SAMPLES_MAX):
            await worker.sample()
        assert (await ear.until(WorkerGone)).failure == "worker_hung"

    async def test_pending_requests_are_bounded(self, workers: WorkerPool, tmp_path: Path) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        hanging = [asyncio.ensure_future(publish(worker, "hang")) for _ in range(WORKER_REQUESTS_PENDING_MAX)]
        await asyncio.sleep(0)  # let each of them ask
        with pytest.raises(BystanderError, match="overloaded"):
            await worker.unpublish("ses_1")
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await worker.stop(EndReason.NORMAL)

    async def test_garbage_sent_to_a_worker_costs_that_connection_only(
        self, workers: WorkerPool, tmp_path: Path, run_directory: Path
    ) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        await ear.until(Hello)
        path = socket_path(run_directory, RECORDING)
        for rubbish in (b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{}", os.urandom(64)):
            await asyncio.to_thread(_say, path, rubbish)
        assert await publish(worker) == ("answer to offer", "etag-1")

    async def test_garbage_from_a_worker_ends_it(self, run_directory: Path, tmp_path: Path) -> None:
        ear = Ear()
        made = WorkerPool(run_directory, Forkserver(fake_workers.garbage, preload=[]))
        worker = await made.launch(RECORDING, order(tmp_path), ear)
        assert (await ear.until(WorkerGone)).failure == "worker_protocol"
        assert not runs(worker.pid)
        await made.close()


class TestGoingOn:
    async def test_another_goes_on_in_the_same_spool(self, workers: WorkerPool, tmp_path: Path) -> None:
        ear = Ear()
        killed = await workers.launch(RECORDING, order(tmp_path), ear)
        await publish(killed)
        zero_ns = (await ear.until(Happened)).zero_ns
        assert zero_ns is not None
        killed.kill()
        await killed.gone()
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path, zero_ns=zero_ns), ear)
        assert (await ear.until(Hello)).zero_ns == zero_ns
        await publish(worker)
        happened = await ear.until(Happened)
        assert (happened.event.kind, happened.event.at_s) == ("gap", 1.0)
        assert (await worker.stop(EndReason.NORMAL)).bytes == 3000
        await worker.gone()
        reader = SpoolReader.open(tmp_path / "spool", RECORDING)
        assert [entry.start_us for entry in reader.index()[1:]] == [0, 1_000_000]
        assert b"recording_started" in reader.events()
        assert b"gap" in reader.events()
        reader.close()


class TestFoundAgain:
    async def test_by_the_next_server(self, workers: WorkerPool, tmp_path: Path, run_directory: Path) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        await worker.leave()
        ear = Ear()
        successor = WorkerPool(run_directory, Forkserver(fake_workers.main))
        adopted = await successor.adopt(RECORDING, ear)
        assert adopted is not None
        assert adopted.pid == worker.pid
        assert (await ear.until(Hello)).statistics.fragments == 2
        assert (await adopted.stop(EndReason.NORMAL)).bytes == 2000
        await adopted.gone()
        await successor.close()

    async def test_a_dead_one_leaves_no_socket(self, workers: WorkerPool, run_directory: Path) -> None:
        path = socket_path(run_directory, RECORDING)
        listen(path).close()
        assert await workers.adopt(RECORDING, Ear()) is None
        assert not path.exists()

    async def test_not_there(self, workers: WorkerPool) -> None:
        assert await workers.adopt(RECORDING, Ear()) is None

    async def test_one_that_is_too_busy_to_greet_is_not_harmed(
        self,
        workers: WorkerPool,
        tmp_path: Path,
        run_directory: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        await worker.leave()
        os.kill(worker.pid, signal.SIGSTOP)
        monkeypatch.setattr(recorder.worker_pool.pool, "GREETING_S", 0.05)
        ear, successor = Ear(), WorkerPool(run_directory, Forkserver(fake_workers.main))
        adopted = await successor.adopt(RECORDING, ear)
        assert adopted is not None
        assert adopted.pid == worker.pid
        assert socket_path(run_directory, RECORDING).is_socket()
        os.kill(worker.pid, signal.SIGCONT)
        assert (await ear.until(Hello)).statistics.fragments == 2
        assert (await adopted.stop(EndReason.NORMAL)).bytes == 2000
        await adopted.gone()
        await successor.close()

    async def test_one_whose_backlog_is_full_is_not_harmed(
        self, workers: WorkerPool, tmp_path: Path, run_directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        os.kill(worker.pid, signal.SIGSTOP)
        path, crowd = socket_path(run_directory, RECORDING), []
        with suppress(BlockingIOError):
            while True:
                crowd.append(connect(path))
        monkeypatch.setattr(recorder.worker_pool.pool, "GREETING_S", 0.05)
        successor = WorkerPool(run_directory, Forkserver(fake_workers.main))
        assert await successor.adopt(RECORDING, Ear()) is None
        assert path.is_socket()
        for connection in crowd:
            connection.close()
        os.kill(worker.pid, signal.SIGCONT)
        monkeypatch.undo()
        adopted = await successor.adopt(RECORDING, Ear())
        assert adopted is not None
        assert await publish(adopted) == ("answer to offer", "etag-1")
        await adopted.leave()
        await successor.close()


class TestExits:
    async def test_the_signal_that_killed_a_worker_is_a_warning(
        self, workers: WorkerPool, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        ear = Ear()
        worker = await workers.launch(RECORDING, order(tmp_path), ear)
        await publish(worker)
        os.kill(worker.pid, signal.SIGSEGV)
        await ear.until(WorkerGone)
        (warning,) = [record for record in caplog.records if record.message == "a worker died"]
        assert warning.levelname == "WARNING"
        facts = vars(warning)
        assert (facts["recording"], facts["exit"], facts["failure"]) == (RECORDING, "SIGSEGV", "worker_died")

    async def test_an_end_that_was_announced_is_no_warning(
        self, workers: WorkerPool, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        await publish(worker)
        await worker.stop(EndReason.NORMAL)
        await worker.gone()
        assert [record for record in caplog.records if record.levelname == "WARNING"] == []


class TestForkserver:
    async def test_nothing_of_the_environment_reaches_a_worker(
        self, tmp_path: Path, run_directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BYSTANDER_SECRET_OF_A_TEST", "secret")
        pool = WorkerPool(run_directory, Forkserver(fake_workers.main, preload=[]))
        worker = await pool.launch(RECORDING, order(tmp_path), Ear())
        assert set(psutil.Process(worker.pid).environ()) <= set(ENVIRONMENT) | {"LC_CTYPE"}
        worker.kill()
        await worker.gone()
        await pool.close()

    async def test_one_that_died_is_started_again(self, workers: WorkerPool, tmp_path: Path) -> None:
        first = await workers.launch(RECORDING, order(tmp_path), Ear())
        forkserver = psutil.Process(first.pid).ppid()
        first.kill()
        await first.gone()
        os.kill(forkserver, signal.SIGKILL)
        second = await workers.launch("rec_2", order(tmp_path), Ear())
        assert psutil.Process(second.pid).ppid() != forkserver

    async def test_it_ends_with_its_server_and_leaves_nothing_behind(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setenv("TMPDIR", str(scratch))
        program = (
            "import sys, time; sys.path[:] = eval(sys.argv[1]);"
            "from recorder.worker_pool.forkserver import Forkserver; from tests.support import fake_workers;"
            "server = Forkserver(fake_workers.main, preload=[]); server.warm_up();"
            "print('warm', flush=True); time.sleep(600)"
        )
        server = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, repr(sys.path), stdout=asyncio.subprocess.PIPE
        )
        assert server.stdout is not None
        assert await server.stdout.readline() == b"warm\n"
        (forkserver,) = psutil.Process(server.pid).children()
        server.kill()
        await server.wait()
        await asyncio.to_thread(forkserver.wait, EVENT_S_MAX)
        assert is_empty(scratch)


class TestReconnects:
    def test_only_those_of_the_last_minute_count(self) -> None:
        budget = ReconnectBudget()
        day = [hour * 3600.0 for hour in range(24)]
        assert all(budget.spend(now) for now in day)
        assert [budget.spend(day[-1] + after) for after in (1.0, 2.0, 3.0)] == [True, True, False]
        assert budget.spend(day[-1] + RECONNECTS_WINDOW_S)


class TestSampling:
    async def test_a_defect_ends_nothing_and_readiness_sees_the_end(
        self, workers: WorkerPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recorder.worker_pool.sampler, "SAMPLE_INTERVAL_S", 0.01)
        worker = await workers.launch(RECORDING, order(tmp_path), Ear())
        failed, sampled = asyncio.Event(), asyncio.Event()

        async def sample() -> None:
            if not failed.is_set():
                failed.set()
                raise RuntimeError("a defect")
            sampled.set()

        monkeypatch.setattr(worker, "sample", sample)
        sampler = Sampler(workers, StreamCounters(CollectorRegistry()))
        with pytest.raises(BystanderError, match="sampling_stopped"):
            await sampler.check()
        running = asyncio.create_task(sampler.run())
        await asyncio.wait_for(sampled.wait(), EVENT_S_MAX)
        await sampler.check()
        running.cancel()
        await asyncio.wait([running])
        monkeypatch.setattr(recorder.worker_pool.sampler, "ROUND_AGE_S_MAX", -1.0)
        with pytest.raises(BystanderError, match="sampling_stopped"):
            await sampler.check()


class TestLongPaths:
    @pytest.mark.parametrize("length", [100, 107, 108, 240])
    def test_a_socket_is_reached_at_any_length(self, tmp_path: Path, length: int) -> None:
        directory = tmp_path / "d"
        directory.mkdir()
        path = _path_of_length(directory, length)
        path.parent.mkdir(parents=True, exist_ok=True)
        with listen(path) as listener, connect(path) as connection:
            listener.setblocking(True)
            accepted, _ = listener.accept()
            connection.sendall(b"x")
            assert accepted.recv(1) == b"x"
            accepted.close()
        assert path.is_socket()


def _path_of_length(directory: Path, length: int) -> Path:
    missing = length - len(str(directory)) - len("/rec.sock")
    if missing < 2:
        pytest.skip("the temporary directory is too deep")
    return directory / ("d" * (missing - 1)) / "rec.sock"


def _say(path: Path, what: bytes) -> None:
    """As a client that then listens until it is shown the door."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(what)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
