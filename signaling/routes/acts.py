"""Acts of callers in the audit log: every operation that is not named here, as its answer begins."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from recorder.kernel.audit.act import NOT_AN_ID, Act, Actor, ActorKind, Outcome
from recorder.kernel.log.subject import subject
from signaling.ports import Caller
from signaling.routes.access import Scheme
from signaling.routes.context import Context
from signaling.routes.facts import FACTS, REQUEST_ID, UNNOTED, Facts
from signaling.routes.operation import OPERATION, is_path_parameter

REFUSALS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,  # also for what somebody may not know of
    HTTPStatus.TOO_MANY_REQUESTS,
)
_UNKNOWN = (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS)  # has shown nothing
GONE = "caller_gone"  # before there was an answer
_COUNTED_CHANGES = frozenset({"trickle", "appendUpload"})  # of one session, many a second
_SECRET_PARAMETERS = frozenset({"entry_point"})
_SUBJECTS = frozenset({"conversation", "recording"})


def note_answers(
    context: Context,
) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """On every response as its head is written: what came of the request is known then."""

    async def noting(request: web.Request, response: web.StreamResponse) -> None:
        if "Location" in response.headers and (facts := request.get(FACTS)) is not None:
            _take_created(request, response.headers["Location"], facts)
        note(request, context, response.status)

    return noting


def note(request: web.Request, context: Context, status: int) -> None:
    """Keep what a request did, once; `status` 0 where its caller went away before the answer."""
    operation, facts = request.get(OPERATION), request.get(FACTS)
    if operation is None or facts is None or operation.id in UNNOTED or facts.is_noted:
        return
    facts.noted()
    outcome = _outcome(status, facts)
    is_read = request.method in ("GET", "HEAD")
    if is_read and outcome is Outcome.DONE and not context.ports.audit.notes_reads:
        return
    is_countable = is_read or outcome is not Outcome.DONE or operation.id in _COUNTED_CHANGES
    context.ports.audit.note(_act(request, facts, context, status), is_countable=is_countable)


def _take_created(request: web.Request, location: str, facts: Facts) -> None:
    """What a POST has made is named by the end of its Location, unless that is a secret."""
    operation = request.get(OPERATION)
    if request.method != "POST" or operation is None or operation.confidential_path:
        return
    *_, collection, identity = location.split("/")
    if collection in ("conversations", "recordings"):
        facts.about(**{collection.removesuffix("s"): identity})
    else:
        facts.tell({}, target=identity)


def _act(request: web.Request, facts: Facts, context: Context, status: int) -> Act:
    parameters = _parameters(request)
    others = [value for name, value in parameters.items() if name not in _SUBJECTS]
    outcome = _outcome(status, facts)
    return Act(
        occurred_at=context.clock.utc_now(),
        action=request[OPERATION].id,
        actor=_actor(request, facts, context, status),
        outcome=outcome,
        code=(facts.code or (None if status else GONE)) if outcome is not Outcome.DONE else None,
        status=status or None,
        request=request[REQUEST_ID],
        conversation=parameters.get("conversation") or facts.conversation,
        recording=parameters.get("recording") or facts.recording or subject(),
        target=facts.target or "/".join(others) or None,
        details=facts.details,
    )


def _parameters(request: web.Request) -> dict[str, str]:
    """What the path names, without its secrets, and without what cannot be the name of anything."""
    given = {name: value for name, value in request.match_info.items() if name not in _SECRET_PARAMETERS}
    return {name: value if is_path_parameter(value) else NOT_AN_ID for name, value in given.items()}


def _outcome(status: int, facts: Facts) -> Outcome:
    if status in REFUSALS or (facts.code is not None and 0 < status < HTTPStatus.BAD_REQUEST):
        return Outcome.REFUSED
    return Outcome.FAILED if status == 0 or status >= HTTPStatus.BAD_REQUEST else Outcome.DONE


def _actor(request: web.Request, facts: Facts, context: Context, status: int) -> Actor:
    address = context.clients.address(request)
    if facts.caller is not None:
        return actor_of(facts.caller, address)
    if request[OPERATION].access.scheme is Scheme.ENTRY_POINT and _has_shown_url(status):
        return Actor(kind=ActorKind.ENTRY_POINT, address=address)
    kind = ActorKind.LINK if facts.has_link else ActorKind.NOBODY
    return Actor(kind=kind, address=address)


def _has_shown_url(status: int) -> bool:
    """Whether an entry point was found for them; the answer says it, or the recording that it led to."""
    return status not in _UNKNOWN if status else subject() is not None


def actor_of(caller: Caller | None, address: str | None) -> Actor:
    """A caller as the audit log names them; None: who did not say, or not rightly."""
    if caller is None:
        return Actor(kind=ActorKind.NOBODY, address=address)
    if (participant := caller.participant) is not None:
        return Actor(
            kind=ActorKind.PARTICIPANT,
            id=participant.id,
            name=participant.name,
            role=participant.role,
            address=address,
        )
    name = None if caller.key is None else caller.key.name
    return Actor(kind=ActorKind.KEY, id=caller.name, name=name, account=caller.account, address=address)
