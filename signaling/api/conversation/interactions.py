"""/v1/conversations/{conversation}/interactions: calls and collaboration layers, as they begin and end."""

import msgspec
from aiohttp import web

from recorder.kernel.conversation import Interaction, InteractionKind, LayerKind
from recorder.kernel.errors import caller_error
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response

_TAG = "conversations"
_INTERACTIONS = "/v1/conversations/{conversation}/interactions"


class StartInteraction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call, or a collaboration layer with its kind."""

    kind: InteractionKind
    layer: LayerKind | None = None
    by_pin: bool = False  # people met by typing a PIN


async def start_interaction(call: ApiCall) -> web.Response:
    body = await call.body(StartInteraction)
    if (body.layer is not None) != (body.kind is InteractionKind.COLLABORATION_LAYER):
        raise caller_error(
            "invalid_layer", "A collaboration layer has a kind of layer; a call has none.", status=422
        )
    conversation = call.path("conversation")
    interaction = await call.context.ports.conversations.start_interaction(
        conversation, kind=body.kind, layer=body.layer, by_pin=body.by_pin
    )
    return created(interaction, f"/v1/conversations/{conversation}/interactions/{interaction.id}")


async def end_interaction(call: ApiCall) -> web.Response:
    ended = await call.context.ports.conversations.end_interaction(
        call.path("conversation"), call.path("interaction"), ended_by=call.caller
    )
    return json_response(ended)


OPERATIONS = (
    Operation(
        "POST",
        _INTERACTIONS,
        id="startInteraction",
        summary="Say that a call or a collaboration layer begins; HELD has to wait for a decision.",
        handler=start_interaction,
        body=StartInteraction,
        replies=(Reply(201, "The interaction.", Interaction, headers=(LOCATION,)),),
        problems={409: ("conversation_ended",), 422: ("invalid_layer",), 503: ("shutting_down",)},
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _INTERACTIONS + "/{interaction}",
        id="endInteraction",
        summary="Say that an interaction has ended.",
        handler=end_interaction,
        replies=(Reply(200, "The ended interaction.", Interaction),),
        problems={409: ("conflict",)},
        tag=_TAG,
    ),
)
