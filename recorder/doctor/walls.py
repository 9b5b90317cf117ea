"""The walls around workers, built once around a process that does nothing else: which stand here."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from recorder.doctor.finding import Finding, failed, warning, well

TIMEOUT_S = 30.0
_BUILD = """
import json, pathlib, sys
from recorder.worker.sandbox.confinement import confine
print(json.dumps(confine(pathlib.Path(sys.argv[1]), user=sys.argv[2], duration_s_max=60, ice_servers=[])))
"""


def walls(user: str) -> Finding:
    """As a worker of this account has them. Blocks for a second."""
    with tempfile.TemporaryDirectory() as directory:
        built = subprocess.run(
            [sys.executable, "-c", _BUILD, directory, user],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            cwd=Path(__file__).parents[2],
        )
    if built.returncode:
        said = built.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return failed(
            "walls", f"a worker cannot confine itself: {said[0]}", "Report this with the line above."
        )
    return judged_walls(json.loads(built.stdout))


def judged_walls(standing: list[str]) -> Finding:
    """By their names; pure."""
    said = ", ".join(standing)
    names = {name.partition(":")[0] for name in standing}
    if "landlock" not in names:
        remedy = (
            "Boot a kernel of 5.13 or newer with Landlock (lsm=landlock,...), or let the container use it."
        )
        return warning("walls", f"workers have {said}, but no Landlock", remedy)
    if "seccomp" not in names:
        return warning("walls", f"workers have {said}, but no seccomp", "Allow seccomp(2) in the container.")
    return well("walls", f"workers have {said}")
