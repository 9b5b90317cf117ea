"""/v1/conversations/{conversation}/interactions: calls and collaboration layers, as they begin and end."""

import msgspec
from aiohttp import web

from recorder.kernel.connectors.source import ConnectorSource
from recorder.kernel.connectors.status import ConnectorStatus
from recorder.kernel.conversation import Interaction, InteractionKind, LayerKind
from recorder.kernel.errors import BystanderError, caller_error
from signaling.routes.operation import LOCATION, ApiCall, Operation, Reply, created, json_response

_TAG = "conversations"
_INTERACTIONS = "/v1/conversations/{conversation}/interactions"
_ONE = _INTERACTIONS + "/{interaction}"


class StartInteraction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call, or a collaboration layer with its kind; `connector`: on what other system it is held."""

    kind: InteractionKind = InteractionKind.CALL
    layer: LayerKind | None = None
    by_pin: bool = False  # people met by typing a PIN
    connector: ConnectorSource | None = None


class InteractionDetails(Interaction, frozen=True, kw_only=True):
    """An interaction, and how the connector is doing that its media comes by."""

    connector: ConnectorStatus | None = None


async def start_interaction(call: ApiCall) -> web.Response:
    body = await call.body(StartInteraction)
    if (body.layer is not None) != (body.kind is InteractionKind.COLLABORATION_LAYER):
        raise caller_error(
            "invalid_layer", "A collaboration layer has a kind of layer; a call has none.", status=422
        )
    conversation, ports = call.path("conversation"), call.context.ports
    if body.connector is not None:
        if not call.caller.is_api_key:
            raise caller_error("forbidden", "A connector needs an API key.", status=403)
        ports.connectors.check(conversation, body.connector)
    interaction = await ports.conversations.start_interaction(
        conversation, kind=body.kind, layer=body.layer, by_pin=body.by_pin
    )
    status = None if body.connector is None else await _connected(call, interaction, body.connector)
    location = f"/v1/conversations/{conversation}/interactions/{interaction.id}"
    return created(_details(interaction, status), location)


async def get_interaction(call: ApiCall) -> web.Response:
    ports = call.context.ports
    found = await ports.conversations.interaction(call.path("conversation"), call.path("interaction"))
    return json_response(_details(found, ports.connectors.status(found.id)))


async def end_interaction(call: ApiCall) -> web.Response:
    ports = call.context.ports
    ended = await ports.conversations.end_interaction(
        call.path("conversation"), call.path("interaction"), ended_by=call.caller
    )
    await ports.connectors.end(ended.id)
    return json_response(ended)


async def _connected(call: ApiCall, interaction: Interaction, source: ConnectorSource) -> ConnectorStatus:
    """Begin its connector; without one the interaction was none."""
    ports = call.context.ports
    try:
        return await ports.connectors.begin(interaction.conversation, interaction.id, source)
    except BystanderError:
        await ports.conversations.end_interaction(interaction.conversation, interaction.id)
        raise


def _details(interaction: Interaction, connector: ConnectorStatus | None) -> InteractionDetails:
    return InteractionDetails(**msgspec.structs.asdict(interaction), connector=connector)


OPERATIONS = (
    Operation(
        "POST",
        _INTERACTIONS,
        id="startInteraction",
        summary="Say that a call or a collaboration layer begins; HELD has to wait for a decision.",
        handler=start_interaction,
        body=StartInteraction,
        replies=(Reply(201, "The interaction.", InteractionDetails, headers=(LOCATION,)),),
        problems={
            403: ("target_not_allowed",),
            409: (
                "conversation_ended",
                "rtp_not_received",
                "rtp_port_taken",
                "too_many_connectors",
                "too_many_rtp_ports",
            ),
            422: (
                "invalid_address",
                "invalid_key",
                "invalid_layer",
                "invalid_port",
                "invalid_streams",
                "invalid_url",
            ),
            503: ("media_ports_exhausted", "shutting_down"),
        },
        tag=_TAG,
    ),
    Operation(
        "GET",
        _ONE,
        id="getInteraction",
        summary="Read an interaction, and how its connector is doing.",
        handler=get_interaction,
        replies=(Reply(200, "The interaction.", InteractionDetails),),
        tag=_TAG,
    ),
    Operation(
        "DELETE",
        _ONE,
        id="endInteraction",
        summary="Say that an interaction has ended.",
        handler=end_interaction,
        replies=(Reply(200, "The ended interaction.", Interaction),),
        problems={409: ("conflict",)},
        tag=_TAG,
    ),
)
