"""docs/settings.md, written from the definitions so that the two cannot disagree."""

import sys
from enum import Enum
from inspect import cleandoc
from typing import Any, Literal, get_args, get_origin

import msgspec

from recorder.settings.definitions import Definition, definitions, sections
from recorder.settings.sample import STORAGE_WORDS, toml_value
from recorder.settings.scopes import INNER_SCOPES
from recorder.settings.vendor_properties import vendor_table

HEADER = """\
# Settings

Written by `python -m recorder.settings.reference` from `recorder/settings/definitions.py`, as the sample
`bystander.toml` is by `python -m recorder.settings.sample`; tests hold both to the definitions.

## Scopes

| scope | lies inside | who may change it | how |
|---|---|---|---|
| server | - | the operator, at start | `bystander.toml`, then `BYSTANDER_SECTION__KEY` variables |
| account | server | an API key with the scope `settings` | `PUT /v1/accounts/{id}/settings` |
| template | account | the same | `PUT /v1/templates/{id}/settings?account=` |
| conversation | template | the same | `PUT /v1/conversations/{id}/settings` |

A key of one account reaches the settings of that account only. What an inner scope says counts before what
an outer one says, for the keys below that name it; every other key is the operator's (`setting_immutable`).
Two exceptions: `recording.enabled` set to false in any scope is false inside it, and what `recording.locked`
names is said by the server alone. A recording keeps the settings that it began with.

`GET .../settings` tells what that scope itself says, and with `?effective=true` every key with the value that
counts and the scope it comes from (`default` where nobody says anything). `PUT` replaces all that it says:

    PUT /v1/accounts/acme/settings
    If-Match: "3"
    {"values": {"recording.triggering_mode": "MANUAL", "recording.visible_to": ["AGENT", "VISITOR"]}}

`If-Match` with the `ETag` that was read refuses the change (412 `settings_changed`) when somebody was faster.
A refused key is named with its reason: `unknown_setting`, `invalid_setting`, `setting_not_allowed` (not in
this scope), `setting_immutable`, `setting_locked`; nothing of a refused request is kept.
"""

STORES_ABOUT = """

This is the store called `default`. Others are tables `[stores.NAME]` with the same keys, or variables
`BYSTANDER_STORES__NAME__KEY`; `recording.store` says which one new recordings go to. A recording stays in the
store that it began in: [storage.md](storage.md#several-stores)."""

IMPORTING = """
## Coming from another product

`bystander settings import FILE` reads Java-style properties and prints our TOML. What it cannot take over it
says on stderr, with the reason, and exits with 1; 0 when all of it was taken, 2 when FILE cannot be read or
contradicts itself. Times are taken as seconds. Properties about anything else are counted and left alone.

| property | here |
|---|---|
"""

_NAMES = {bool: "boolean", int: "integer", float: "number", str: "text"}


def document() -> str:
    """The text of docs/settings.md."""
    rows = "".join(f"| `{theirs}` | {ours} |\n" for theirs, ours in vendor_table())
    return HEADER + "".join(_section(name) for name in sections()) + IMPORTING + rows


def _section(name: str) -> str:
    kind = sections()[name]
    words = STORAGE_WORDS if name == "storage" else {}
    rows = [_row(key, key.description or words.get(key.name, "")) for key in definitions(kind).values()]
    about = " ".join(cleandoc(kind.__doc__ or "").partition("\n\n")[0].splitlines())
    if name == "storage":
        about += STORES_ABOUT
    head = f"\n## [{name}]\n\n{about}\n\n"
    return head + "| key | type | default | also said by | |\n|---|---|---|---|---|\n" + "".join(rows)


def _row(key: Definition, description: str) -> str:
    default = "-" if key.default is None else f"`{toml_value(key.default)}`"
    scopes = ", ".join(scope for scope in INNER_SCOPES if scope in key.scopes) or "-"
    cells = (f"`{key.name}`", _type(key.type), default, scopes, description)
    return (
        "| " + " | ".join(cell.replace("|", "\\|").replace("<data>", "&lt;data>") for cell in cells) + " |\n"
    )


def _type(hint: Any) -> str:
    """A type for people, with its bounds."""
    bounds = ""
    while hasattr(hint, "__metadata__"):
        metas = [meta for meta in hint.__metadata__ if isinstance(meta, msgspec.Meta)]
        bounds = bounds or ", ".join(filter(None, map(_bounds, metas)))
        hint = hint.__origin__
    alternatives = [one for one in get_args(hint) if one is not type(None)]
    if get_origin(hint) in (list, tuple):
        inner = [one for one in alternatives if one is not Ellipsis]
        return f"list of {_type(inner[0])}"
    if get_origin(hint) is dict:
        return "table"
    if get_origin(hint) is Literal:
        return ", ".join(f"`{one}`" for one in alternatives)
    if len(alternatives) == 1 and not isinstance(hint, type):
        return _type(alternatives[0])
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ", ".join(f"`{one.value}`" for one in hint)
    name = _NAMES.get(hint, getattr(hint, "__name__", str(hint)))
    return f"{name} {bounds}".strip()


def _bounds(meta: msgspec.Meta) -> str:
    said = (("> ", meta.gt), (">= ", meta.ge), ("< ", meta.lt), ("<= ", meta.le))
    return ", ".join(f"{sign}{_plain(bound)}" for sign, bound in said if bound is not None)


def _plain(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


if __name__ == "__main__":
    sys.stdout.write(document())
