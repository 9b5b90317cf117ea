"""Settings in scopes, resolved: which scope's word counts for each key, and which scope it was. Pure.

Scopes lie in each other: the server's file, an account, a conversation template, one conversation. What an
inner scope says counts before what an outer one says, with two exceptions. A *narrowing* key can be switched
off from every scope, and off stays off inside. A *locked* key is said by the server alone.
"""

from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec


class Scope(StrEnum):
    """From the outermost to the innermost."""

    DEFAULT = "default"  # nobody said anything
    SERVER = "server"  # the operator, at start; nothing changes it while the server runs
    ACCOUNT = "account"
    TEMPLATE = "template"
    CONVERSATION = "conversation"


INNER_SCOPES = (Scope.ACCOUNT, Scope.TEMPLATE, Scope.CONVERSATION)  # those that are changed by the API
_DEPTH = {scope: depth for depth, scope in enumerate(Scope)}


class Layer(msgspec.Struct, frozen=True):
    """What one scope says."""

    scope: Scope
    values: Mapping[str, Any]


class Resolved(msgspec.Struct, frozen=True):
    """What counts, and the scope that said it."""

    value: Any
    scope: Scope


def resolve(
    layers: Iterable[Layer], *, narrowing: Collection[str] = (), locked: Collection[str] = ()
) -> dict[str, Resolved]:
    """Every key that some layer names, with the value that counts.

    `layers` come from the outermost to the innermost, each scope once; ValueError otherwise.
    """
    found: dict[str, Resolved] = {}
    depth = -1
    for layer in layers:
        if _DEPTH[layer.scope] <= depth:
            raise ValueError(f"{layer.scope} does not lie inside what came before it")
        depth = _DEPTH[layer.scope]
        for key, value in layer.values.items():
            if key in locked and layer.scope in INNER_SCOPES:
                continue
            outer = found.get(key)
            if outer is None or key not in narrowing or outer.value is not False:
                found[key] = Resolved(value, layer.scope)
    return found
