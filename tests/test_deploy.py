"""What is shipped for operators is what the programs that read it accept."""

import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[1] / "deploy/systemd/bystander.service"
EXPOSURE_MAX = 2.5  # of 10, as systemd-analyze counts


def test_the_unit_is_understood_and_gives_little_away() -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", str(UNIT)],
        capture_output=True,
        text=True,
    )
    assert judged.returncode == 0, judged.stdout[-2000:] + judged.stderr
    assert not judged.stderr, judged.stderr  # what it does not understand it says here
