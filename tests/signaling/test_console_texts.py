"""The console's texts: both languages say everything, and nothing is said that no page asks for."""

import re
from pathlib import Path

import pytest

CONSOLE = Path(__file__).parents[2] / "signaling" / "web" / "console"
KEY = re.compile(r'^  (?:"([\w.]+)"|(\w+)): "((?:[^"\\]|\\.)*)",$', re.MULTILINE)
USED = re.compile(r"""\b(?:t|has)\(\s*["'`]([\w.]+)["'`]""")
BUILT = re.compile(r"""\b(?:t|has|count)\(\s*(?:"([\w.]+)"|`([\w.]+)\.\$\{)""")
PLACEHOLDER = re.compile(r"{\w+}")


def texts(language: str) -> dict[str, str]:
    source = (CONSOLE / "texts" / f"{language}.js").read_text()
    return {quoted or plain: text for quoted, plain, text in KEY.findall(source)}


def modules() -> str:
    return "\n".join(path.read_text() for path in CONSOLE.rglob("*.js") if path.parent.name != "texts")


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_line_is_a_text(language: str) -> None:
    source = (CONSOLE / "texts" / f"{language}.js").read_text()
    lines = [line for line in source.splitlines() if line.startswith("  ")]
    assert len(texts(language)) == len(lines) > 100


def test_both_languages_say_the_same_things() -> None:
    english, german = texts("en"), texts("de")
    assert list(english) == list(german)
    for key, text in english.items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(german[key])), key


def test_what_pages_ask_for_is_there() -> None:
    known, source = texts("en"), modules()
    missing = {key for key in USED.findall(source) if key not in known and not _is_stem(key, known)}
    assert missing == set()


def test_what_is_there_is_asked_for() -> None:
    source = modules()
    asked = set(USED.findall(source)) | {key for key, _ in BUILT.findall(source)}
    stems = {stem for _, stem in BUILT.findall(source)} | asked
    quoted = set(re.findall(r'"([\w.]+)"', source))
    unused = {
        key
        for key in texts("en")
        if key not in asked | quoted and not any(key.startswith(f"{stem}.") for stem in stems)
    }
    assert unused == set()


def _is_stem(key: str, known: dict[str, str]) -> bool:
    return any(one.startswith(f"{key}.") for one in known)


def test_no_module_makes_html_of_texts() -> None:
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
    ):
        assert forbidden not in modules(), forbidden
