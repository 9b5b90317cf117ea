"""The remedy for a failed step of an upload; pure."""

from enum import StrEnum

from storage.errors import CORRUPTED, OBJECT_MISSING, PART_REFUSED, UPLOAD_MISSING
from storage.upload_plan.plan import Action, SendPart, Simple


class Remedy(StrEnum):
    """What to do about a failed action, after the waiting time."""

    TRY_AGAIN = "try_again"
    ASK_THE_STORE = "ask_the_store"  # it may know something else than we do: list, compare, go on from there
    RESTART = "restart"  # a new upload of everything; the spool has it
    RESTART_HOLDING_HEAD = "restart_holding_head"
    GIVE_UP = "give_up"


_HOPELESS = ("spool_damaged", "spool_missing", "object_too_large", "upload_not_begun", "upload_elsewhere")


def remedy(code: str, action: Action, *, refusals: int) -> Remedy:
    """What `code` calls for; `refusals`: how often the store was asked already without its helping."""
    if code in _HOPELESS:
        return Remedy.GIVE_UP
    if code in (PART_REFUSED, UPLOAD_MISSING):
        if refusals == 0:
            return Remedy.ASK_THE_STORE
        replacing = isinstance(action, SendPart) and action.number == 1
        return Remedy.RESTART_HOLDING_HEAD if replacing else Remedy.RESTART
    if action is Simple.VERIFY and code in (CORRUPTED, OBJECT_MISSING):
        return Remedy.RESTART
    return Remedy.TRY_AGAIN
