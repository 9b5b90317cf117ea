"""Audit values: an act is who did what, from where, to what, and what came of it. Pure values."""

from datetime import datetime
from enum import StrEnum

import msgspec

NOT_AN_ID = "(not an id)"  # what a caller gave for one, and cannot be one of ours


class ActorKind(StrEnum):
    """How somebody showed who they are."""

    KEY = "key"  # an API key, or a sign-in to the console
    PARTICIPANT = "participant"
    LINK = "link"  # whoever holds a signed link
    ENTRY_POINT = "entry_point"  # whoever holds an entry point's URL
    NOBODY = "nobody"  # not at all
    SERVER = "server"  # nobody: the server by itself
    COMMAND = "command"  # an account of the machine, by the command line


class Outcome(StrEnum):
    """What came of an act."""

    DONE = "done"
    REFUSED = "refused"  # they may not, or are not told of it
    FAILED = "failed"


class Actor(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did something. `account`: the only one that they reach; no secret is in here."""

    kind: ActorKind
    id: str | None = None
    name: str | None = None
    role: str | None = None
    account: str | None = None
    address: str | None = None


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was done, or was not allowed.

    `action` is an operation's id of the API, or a name of docs/audit.md. `repeats`: how often the same was
    done again until `until`, beside this once.
    """

    occurred_at: datetime
    action: str
    actor: Actor
    outcome: Outcome = Outcome.DONE
    code: str | None = None
    status: int | None = None
    request: str | None = None
    conversation: str | None = None
    recording: str | None = None
    target: str | None = None
    details: dict[str, str] = {}
    repeats: int = 0
    until: datetime | None = None


class AuditSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Entries after the one of this sequence, in their order, in [since, before)."""

    after: int = 0
    since: datetime | None = None
    before: datetime | None = None
    conversation: str | None = None


class AuditHead(msgspec.Struct, frozen=True, kw_only=True):
    """The newest entry: its sequence, and the SHA-256 of its line. 0 and zeros before the first."""

    sequence: int
    hash: str
