"""The demo, as a newcomer runs it: what it prints is so, and its last line is a recording that plays."""

import re
import subprocess
import sys
from pathlib import Path

from media.check.file import check_file

SECONDS = 7
OFFSET_MS_MAX = 40
TIMEOUT_S = 90


def demo(data_dir: Path) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "recorder",
        "demo",
        "--seconds",
        str(SECONDS),
        "--data-dir",
        str(data_dir),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def test_the_demo_reports_what_it_recorded(tmp_path: Path) -> None:
    done = demo(tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.count("RECORDING") >= 2  # progress, while it records
    *_, path = done.stdout.splitlines()
    report = check_file(Path(path))
    assert report.ok, report.problems

    said = dict(re.findall(r"^(\w+) {2,}(.+)$", done.stdout, re.MULTILINE))
    assert float(said["duration"].split()[0]) >= SECONDS
    assert abs(float(said["duration"].split()[0]) - report.duration_s) < 0.1
    assert f"{Path(path).stat().st_size / 1e6:.2f} MB" in said["size"]
    assert re.match(r"\d+ ms from asking to the entry point", said["start"])
    assert re.match(r"[\d.]+ s \([\d.]+ core the worker", said["cpu"])
    p95 = re.search(r"([1-9]\d*) flashes: p95 (\d+) ms", said["sync"])
    assert p95 is not None and int(p95[2]) <= OFFSET_MS_MAX, said["sync"]
    assert said["watch"].startswith("http://127.0.0.1:8080/watch/rec_")
