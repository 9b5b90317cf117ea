"""Bounds of an act's texts, so that no caller decides how much an entry takes."""

import msgspec

from recorder.kernel.audit.act import NOT_AN_ID, Act, Actor
from recorder.kernel.ids import is_id
from recorder.kernel.limits import SETTINGS_PER_SCOPE_MAX, TEXT_CHARS_MAX

DETAIL_CHARS_MAX = 2_048  # a webhook's address is the longest
DETAILS_MAX = 2 * SETTINGS_PER_SCOPE_MAX  # settings that were changed at once are the most
_CUT_OFF = "…"


def bounded(act: Act) -> Act:
    """The act as it may be kept: ids have the form of ours, and no text is longer than its bound."""
    return msgspec.structs.replace(
        act,
        actor=_bounded_actor(act.actor),
        code=_cut(act.code),
        request=_cut(act.request),
        conversation=_id(act.conversation, "conv"),
        recording=_id(act.recording, "rec"),
        target=_cut(act.target),
        details=_bounded_details(act.details),
    )


def _bounded_actor(actor: Actor) -> Actor:
    return msgspec.structs.replace(
        actor,
        id=_cut(actor.id),
        name=_cut(actor.name),
        role=_cut(actor.role),
        account=_cut(actor.account),
        address=_cut(actor.address),
    )


def _bounded_details(details: dict[str, str]) -> dict[str, str]:
    kept = list(details.items())[:DETAILS_MAX]
    return {name[:TEXT_CHARS_MAX]: _shortened(text, DETAIL_CHARS_MAX) for name, text in kept}


def _id(text: str | None, prefix: str) -> str | None:
    return text if text is None or is_id(text, prefix) else NOT_AN_ID


def _cut(text: str | None) -> str | None:
    return None if text is None else _shortened(text, TEXT_CHARS_MAX)


def _shortened(text: str, chars_max: int) -> str:
    return text if len(text) <= chars_max else text[: chars_max - len(_CUT_OFF)] + _CUT_OFF
