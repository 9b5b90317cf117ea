"""`bystander load` on a server of its own: real calls, judged by their files."""

import json
from pathlib import Path

import pytest

from recorder.load.main import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("profile", ["two-party", "audio", "still-share", "churn"])
def test_a_load_is_held_and_judged(profile: str, tmp_path: Path) -> None:
    seconds = "14" if profile == "churn" else "6"
    arguments = [
        "--profile",
        profile,
        "--calls",
        "2",
        "--seconds",
        seconds,
        "--json",
        str(tmp_path / "load.json"),
    ]
    assert run([*arguments, "--html", str(tmp_path / "load.html")]) == 0
    (report,) = json.loads((tmp_path / "load.json").read_text())
    assert [outcome["verdict"]["reasons"] for outcome in report["outcomes"]] == [[], []]
    assert "<svg" in (tmp_path / "load.html").read_text()


def test_a_link_that_loses_too_much_is_seen_in_the_files(tmp_path: Path) -> None:
    arguments = ["--seconds", "8", "--loss", "0.6", "--json", str(tmp_path / "load.json")]
    assert run(arguments) == 1
    (report,) = json.loads((tmp_path / "load.json").read_text())
    assert (
        report["outcomes"][0]["failed"] or "pictures_missing" in report["outcomes"][0]["verdict"]["reasons"]
    )


def test_a_server_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--url", "http://127.0.0.1:1", "--api-key", "k"]) == 2
    assert "does not answer" in capsys.readouterr().err
