"""Terms of signing in by another provider, and what its claims make of somebody. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.permissions import ApiKey, KeyScope

ACCOUNT_CHARS_MAX = 128
NAME_CHARS_MAX = 256
_READS = [KeyScope.CONVERSATIONS_READ, KeyScope.RECORDINGS_READ]
_SUPERVISES = [*_READS, KeyScope.RECORDINGS_WRITE, KeyScope.USAGE]


@dataclass(frozen=True, slots=True)
class OidcTerms:
    """What is configured. `*_roles`: the values of the claim that stand for each role.

    `account_claim` None: whoever signs in reaches every account.
    """

    issuer: str
    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] = ("openid", "profile")
    roles_claim: str = "roles"
    agent_roles: tuple[str, ...] = ()
    supervisor_roles: tuple[str, ...] = ()
    administrator_roles: tuple[str, ...] = ()
    account_claim: str | None = None


def identity(terms: OidcTerms, claims: Mapping[str, Any], now: datetime) -> ApiKey:
    """Somebody as a key with the scopes of their role; 403 oidc_no_role, oidc_no_account."""
    scopes = _scopes(terms, _texts(claim(claims, terms.roles_claim)))
    if not scopes:
        raise refused("oidc_no_role", "None of your roles opens the console.")
    subject = hashlib.sha256(f"{terms.issuer}\0{claims['sub']}".encode()).hexdigest()[:40]
    return ApiKey(
        id=f"oidc_{subject}",
        name=_name(claims),
        account=_account(terms, claims),
        scopes=scopes,
        created_at=now,
    )


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a path with dots into nested ones; None without it."""
    if name in claims:
        return claims[name]
    found: Any = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def refused(code: str, detail: str) -> BystanderError:
    """403: the provider knows them, and we do not let them in."""
    return caller_error(code, detail, status=403)


def _scopes(terms: OidcTerms, roles: set[str]) -> list[KeyScope]:
    if roles & set(terms.administrator_roles):
        return [KeyScope.ADMIN]
    if roles & set(terms.supervisor_roles):
        return _SUPERVISES
    return _READS if roles & set(terms.agent_roles) else []


def _account(terms: OidcTerms, claims: Mapping[str, Any]) -> str | None:
    if terms.account_claim is None:
        return None
    found = claim(claims, terms.account_claim)
    if not isinstance(found, str) or not 0 < len(found) <= ACCOUNT_CHARS_MAX:
        raise refused("oidc_no_account", "Your sign-in names no account.")
    return found


def _name(claims: Mapping[str, Any]) -> str:
    for known in ("name", "preferred_username", "email", "sub"):
        if isinstance(found := claims.get(known), str) and found:
            return found[:NAME_CHARS_MAX]
    return "?"


def _texts(value: Any) -> set[str]:
    if isinstance(value, str):
        return set(value.split())
    return {one for one in value if isinstance(one, str)} if isinstance(value, list) else set()
