"""What the command tells shells and people of itself: completions that complete, a man page of now."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recorder.cli import parser
from recorder.command.completion import SHELLS, levels, script
from recorder.command.man_page import page


def completed(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers after these words."""
    file = tmp_path / "completion"
    file.write_text(script(parser(), "bash"))
    count, line = len(words), " ".join(f"'{word}'" for word in ("bystander", *words))
    shown = "printf '%s\\n' \"${COMPREPLY[@]}\""
    program = f"source {file}; COMP_WORDS=({line}); COMP_CWORD={count}; _bystander; {shown}"
    done = subprocess.run(["bash", "-uc", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    return [word for word in done.stdout.split() if word != file.name]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["au"], ["audit"]),
        (["audit", ""], ["--help", "verify", "export"]),
        (["audit", "verify", "--h"], ["--help", "--head"]),
        (["audit", "export", "--after", "5", "--conv"], ["--conversation"]),
        (["completion", "f"], ["fish"]),
        (["serve", "--po"], ["--port"]),
    ],
)
def test_bash_offers_what_may_follow(tmp_path: Path, words: list[str], offered: list[str]) -> None:
    assert completed(tmp_path, *words) == offered


def test_every_command_is_in_every_script() -> None:
    names = {word for level in levels(parser()) for word in level.words}
    assert {"serve", "doctor", "audit", "verify"} < names
    for shell in SHELLS:
        assert [name for name in names if name not in script(parser(), shell)] == []


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_understands_its_script(tmp_path: Path, shell: str) -> None:
    assert shutil.which(shell), f"`make test-slow` installs {shell}"
    file = tmp_path / "completion"
    file.write_text(script(parser(), shell))
    judged = subprocess.run([shell, "-n", str(file)], capture_output=True, text=True)
    assert (judged.returncode, judged.stderr) == (0, "")
    if shell == "fish":
        program = f"source {file}; complete -C 'bystander audit verify --h'"
        offered = subprocess.run([shell, "-c", program], capture_output=True, text=True, check=True).stdout
        assert [line.split("\t")[0] for line in offered.splitlines()] == ["--head", "--help"]


def test_the_man_page_names_every_command_and_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "bystander.1"
    file.write_text(page(parser()))
    for level in levels(parser()):
        assert f".SS {' '.join(level.words)}\n".replace("-", "\\-") in file.read_text() or not level.words
    judged = subprocess.run(["groff", "-man", "-Tutf8", "-ww", str(file)], capture_output=True, text=True)
    assert (judged.returncode, judged.stderr) == (0, "")
    assert "SIGUSR2" in re.sub(".\b", "", judged.stdout)  # bold is overstruck
