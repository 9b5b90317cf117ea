"""The sample bystander.toml, written from the definitions so that the two cannot disagree."""

import json
from enum import Enum
from inspect import cleandoc
from typing import Any

from recorder.settings import Definition, definitions, sections

HEADER = """\
# Bystander's settings, each with its default. Every key can also be given as an environment variable,
# BYSTANDER_SECTION__KEY, which wins: BYSTANDER_SERVER__PORT=9000. Keys without a default are commented out.
"""


def sample() -> str:
    """The text of bystander.toml."""
    return HEADER + "".join(_section(name) for name in sections())


def _section(name: str) -> str:
    kind = sections()[name]
    lines = [f"\n# {cleandoc(kind.__doc__ or '').splitlines()[0]}", f"[{name}]"]
    lines += [_line(definition) for definition in definitions(kind).values()]
    return "\n".join(lines) + "\n"


def _line(definition: Definition) -> str:
    unset = definition.default is None
    assignment = f"# {definition.name} = " if unset else f"{definition.name} = {_toml(definition.default)}"
    return f"{assignment:<44} # {definition.description}" if definition.description else assignment


def _toml(value: Any) -> str:
    plain = value.value if isinstance(value, Enum) else value
    return json.dumps(plain)  # of the types that settings have, JSON's spelling is TOML's
