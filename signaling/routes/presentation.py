"""Presentation of recordings to a caller: with links, and without what is not theirs to know."""

import msgspec
from aiohttp import web
from yarl import URL

from recorder.kernel.permissions import KeyScope
from recorder.kernel.recording import Recording
from signaling.http.signed_links import link_expiry, recording_links
from signaling.routes.context import Context
from signaling.routes.operation import ApiCall


def present(recording: Recording, call: ApiCall, *, entry_point: bool = False) -> Recording:
    """Fill `links`; keep the entry point for keys that may start one, and where `entry_point` says so."""
    caller = call.granted.caller
    keeps = entry_point or (caller is not None and caller.may(KeyScope.RECORDINGS_WRITE))
    return msgspec.structs.replace(
        recording,
        links=recording_links_for(recording.id, call),
        entry_point=recording.entry_point if keeps else None,
    )


def base_url(context: Context, request: web.Request) -> str:
    """What absolute links begin with: as configured, or as this request reached us, or its proxy."""
    return context.public_url or context.clients.origin(request)


def path_of(public_url: str | None) -> str:
    """What stands before our own paths where callers see them: a proxy may give us a part of its host."""
    return URL(public_url).raw_path.rstrip("/") if public_url else ""


def recording_links_for(recording: str, call: ApiCall) -> dict[str, str]:
    """Links of a recording, for a caller who may see it."""
    until = call.granted.links_until or link_expiry(call.context.clock.utc_now())
    call.tell({"links_until": until.isoformat()})
    base = base_url(call.context, call.request)
    return recording_links(call.context.links, recording, until=until, base=base)


async def stream_shares(call: ApiCall, conversation: str) -> dict[str, str | None]:
    """Whose share of streams and long-polls this request takes."""
    caller = call.granted.caller
    found = await call.context.ports.conversations.get(conversation)
    return {
        "account": found.account,
        "conversation": conversation,
        "participant": caller.participant.id if caller is not None and caller.participant else None,
        "address": call.context.clients.share(call.request) if caller is None else None,
    }
