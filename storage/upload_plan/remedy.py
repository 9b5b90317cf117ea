"""What a failed step of an upload calls for; pure."""

from enum import StrEnum

from storage.errors import CORRUPTED, FAILED, OBJECT_MISSING, PART_REFUSED, UNREACHABLE, UPLOAD_MISSING
from storage.upload_plan.plan import Action, SendPart, Simple


class Remedy(StrEnum):
    """What to do about a failed action, after the waiting time."""

    TRY_AGAIN = "try_again"
    ASK_THE_STORE = "ask_the_store"  # it may know something else than we do: list, compare, go on from there
    RESTART = "restart"  # a new upload of everything; the spool has it
    RESTART_HOLDING_HEAD = "restart_holding_head"
    GIVE_UP = "give_up"


ASKED_AFTER_FAILURES = (
    3  # equal ones in a row: then the store is asked what it has, and again after as many more
)
STALE_FAILURES = 3  # a store may show the object of before, or none, for a while
STORED_IS_LONGER = "stored_is_longer"
OBJECT_FOREIGN = "object_foreign"
_HOPELESS = (
    "spool_damaged",
    "spool_missing",
    "object_too_large",
    "upload_not_begun",
    "upload_elsewhere",
    STORED_IS_LONGER,
    OBJECT_FOREIGN,
)


def remedy(code: str, action: Action, *, refusals: int, failures: int = 1) -> Remedy:
    """What `code` calls for; `refusals`: how often the store was asked already without its helping.

    `failures` is how often this code came in a row, with this one.
    """
    if code in _HOPELESS:
        return Remedy.GIVE_UP
    if code in (PART_REFUSED, UPLOAD_MISSING) or (code == OBJECT_MISSING and action is not Simple.VERIFY):
        if refusals == 0:
            return Remedy.ASK_THE_STORE
        replacing = isinstance(action, SendPart) and action.number == 1
        return Remedy.RESTART_HOLDING_HEAD if replacing else Remedy.RESTART
    if action is Simple.VERIFY and code in (CORRUPTED, OBJECT_MISSING):
        return Remedy.RESTART if failures >= STALE_FAILURES else Remedy.TRY_AGAIN
    if failures % ASKED_AFTER_FAILURES == 0 and code in (FAILED, UNREACHABLE, CORRUPTED):
        return Remedy.ASK_THE_STORE
    return Remedy.TRY_AGAIN
