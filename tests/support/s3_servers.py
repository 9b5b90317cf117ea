"""Real S3 servers over HTTP on loopback: rclone's (over a file tree) and moto's (AWS's rules, in memory)."""

import http.client
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from tests.support.ports import free_port

ACCESS_KEY_ID = "bystander"
SECRET_ACCESS_KEY = "bystander-secret"
BUCKET = "recordings"
START_TIMEOUT_S = 30.0


class ServerProcess:
    """A server that can be stopped, killed, paused and started again on the same port, with the same data."""

    def __init__(self, command: list[str], port: int, env: dict[str, str] | None = None) -> None:
        """`env` is what its environment has besides ours."""
        self._command = command
        self._env = None if env is None else os.environ | env
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Of the server that runs now."""
        if self._process is None:
            raise RuntimeError("the server does not run")
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self._command[0]} does not start")
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def pause(self) -> None:
        """It keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=2)
        try:
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            return False
        finally:
            connection.close()
        return True


@contextmanager
def rclone(directory: Path) -> Iterator[ServerProcess]:
    """`rclone serve s3` over `directory`, with the bucket in it."""
    port = free_port()
    (directory / BUCKET).mkdir(parents=True, exist_ok=True)
    auth = f"{ACCESS_KEY_ID},{SECRET_ACCESS_KEY}"
    program = shutil.which("rclone", path=str(Path(sys.executable).parent)) or "rclone"
    command = [program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", auth]
    command += ["--config", str(directory.parent / "no-rclone.conf"), str(directory)]
    yield from _running(ServerProcess(command, port))


@contextmanager
def moto(*, part_size_bytes_min: int = PART_SIZE_BYTES_MIN) -> Iterator[ServerProcess]:
    """moto's server; it holds everything in memory and begins without a bucket."""
    port = free_port()
    program = str(Path(sys.executable).parent / "moto_server")
    env = {"S3_UPLOAD_PART_MIN_SIZE": str(part_size_bytes_min)}
    env["MOTO_S3_DEFAULT_KEY_BUFFER_SIZE"] = str(PART_SIZE_BYTES_MIN - 1024)
    yield from _running(ServerProcess([program, "-H", "127.0.0.1", "-p", str(port)], port, env))


def _running(server: ServerProcess) -> Iterator[ServerProcess]:
    server.start()
    try:
        yield server
    finally:
        server.kill()
