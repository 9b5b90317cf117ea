"""Consent: what participants answer to being recorded."""

import msgspec
from aiohttp import web

from recorder.kernel.message import ConsentAnswer, ConsentGiven
from signaling.room import ROOMS
from signaling.routes.operation import ApiCall, Operation, Reply, json_response

_TAG = "conversations"
_CONVERSATION = "/v1/conversations/{conversation}"


class AnswerConsent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """AGREED or REFUSED; the last answer counts."""

    answer: ConsentAnswer


class ConsentList(msgspec.Struct, frozen=True):
    """The last answer of every participant who gave one."""

    items: list[ConsentGiven]


async def answer(call: ApiCall) -> web.Response:
    body = await call.body(AnswerConsent)
    conversation, participant = call.path("conversation"), call.path("participant")
    given = await call.context.ports.consents.answer(call.caller, conversation, participant, body.answer)
    call.request.app[ROOMS].consent_kept(conversation, participant, given.answer)
    return json_response(given)


async def list_all(call: ApiCall) -> web.Response:
    return json_response(ConsentList(await call.context.ports.consents.list(call.path("conversation"))))


OPERATIONS = (
    Operation(
        "PUT",
        _CONVERSATION + "/participants/{participant}/consent",
        id="answerConsent",
        summary="Say whether a participant agrees to being recorded.",
        handler=answer,
        body=AnswerConsent,
        replies=(Reply(200, "The answer, as it counts from now on.", ConsentGiven),),
        tag=_TAG,
    ),
    Operation(
        "GET",
        _CONVERSATION + "/consents",
        id="listConsents",
        summary="List who agreed to being recorded, and who refused.",
        handler=list_all,
        replies=(Reply(200, "The answers.", ConsentList),),
        tag=_TAG,
    ),
)
