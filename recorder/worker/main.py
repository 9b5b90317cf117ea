"""A worker's main: one recording from its first offer to the end of its spool, in a process of its own.

It outlives the server, ignores SIGINT, takes SIGTERM as a stop, writes to the spool only, and exits once the
recording has ended and the connected server, if there is one, was told.
"""

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path

import msgspec
import uvloop

from recorder.kernel.clock import SystemClock
from recorder.kernel.errors import BystanderError
from recorder.kernel.recording import Written
from recorder.node.logs import configure
from recorder.worker.engine import EngineFactory, EngineLike, OnEvent, Write
from recorder.worker.memory import OwnMemory
from recorder.worker.order import WorkerOrder
from recorder.worker.recording import Parts, WorkerRecording
from recorder.worker.sandbox.confinement import confine
from recorder.worker.server import BACKLOG
from recorder.worker.spool_writer import Opened, open_spool
from storage.spool import SpoolWriter

HANG_S_MAX = 300  # of the event loop: then the kernel ends the process, also where no server looks after it
WATCHDOG_INTERVAL_S = 30.0
EXIT_TIMEOUT_S = 10  # between the end of the spool and the end of the process


_log = logging.getLogger(__name__)


def main(order: bytes, listener: socket.socket) -> None:
    """What the forkserver runs in the child."""
    from media.engine import Engine  # preloaded; imported here so that tests need no codecs

    run(order, listener, Engine)


def run(order: bytes, listener: socket.socket, engine: EngineFactory) -> None:
    """Record until the end; exits the process with 1 when the recording could not even begin."""
    listener.listen(BACKLOG)  # so that its peers are told this process, and not the server that bound it
    detach()
    job = msgspec.msgpack.decode(order, type=WorkerOrder)
    configure(job.log_format, job.log_level, recording=job.plan.recording)
    memory = OwnMemory()
    job = _with_certificates(job)
    opened = _opened(job)
    walls = [] if isinstance(opened, BystanderError) else _confined(job, opened.spool)
    began = uvloop.run(_record(job, Parts(listener, opened, memory, walls), engine))
    raise SystemExit(0 if began else 1)


def _with_certificates(job: WorkerOrder) -> WorkerOrder:
    """With what vouches for TURN servers, read while every file can be."""
    if job.turn_ca_file is None:
        return job
    try:
        certificates = Path(job.turn_ca_file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        _log.error("turn.ca_file cannot be read", extra={"reason": type(error).__name__})
        return job
    network = msgspec.structs.replace(job.plan.network, turn_certificates=certificates)
    return msgspec.structs.replace(job, plan=msgspec.structs.replace(job.plan, network=network))


def _opened(job: WorkerOrder) -> Opened | BystanderError:
    """The spool, opened while directories can be made; or why there is none, for the server to hear."""
    try:
        return open_spool(Path(job.spool), job.facts)
    except BystanderError as error:
        return error


def _confined(job: WorkerOrder, spool: SpoolWriter) -> list[str]:
    plan = job.plan
    return confine(
        spool.stand_inside(),
        user=job.user,
        duration_s_max=plan.duration_s_max,
        ice_servers=plan.ice_servers,
        listens=plan.network.tcp,
    )


def detach() -> None:
    """Leave the server's session and process group: what ends them does not end a recording."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    logging.raiseExceptions = False  # stderr may be the dead server's pipe


async def _record(order: WorkerOrder, parts: Parts, engine: EngineFactory) -> bool:
    recording = WorkerRecording(order.plan.recording, parts)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, recording.terminate)

    def make(written: Written | None, write: Write, on_event: OnEvent) -> EngineLike:
        plan = msgspec.structs.replace(order.plan, written=written)
        return engine(plan, write=write, on_event=on_event, clock=SystemClock())

    watchdog = asyncio.create_task(_feed_watchdog(), name="watchdog")
    began = await recording.run(make)
    watchdog.cancel()
    signal.alarm(EXIT_TIMEOUT_S)  # all is written: a thread that hangs in a codec must not keep the process
    return began


async def _feed_watchdog() -> None:
    """Put off SIGALRM, whose default is to end the process, for as long as the loop runs."""
    while True:
        signal.alarm(HANG_S_MAX)
        await asyncio.sleep(WATCHDOG_INTERVAL_S)
