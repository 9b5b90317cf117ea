"""GET /watch/{recording}: a page that plays one recording, for whoever has its signed link."""

from datetime import datetime
from html import escape

import msgspec
from aiohttp import web

from recorder.kernel.recording import Recording, RecordingState
from signaling.http.html import page
from signaling.http.signed_links import link_expiry, recording_links
from signaling.routes.operation import ApiCall, Operation, Reply
from signaling.routes.presentation import path_of


class WatchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed link's parameters."""

    expires: int | None = None
    signature: str | None = None


async def watch(call: ApiCall) -> web.Response:
    call.query(WatchQuery)
    recording = await call.context.ports.recordings.get(call.path("recording"))
    until = call.granted.links_until or link_expiry(call.context.clock.utc_now())
    prefix = path_of(call.context.public_url)  # relative: the page's own origin
    links = recording_links(call.context.links, recording.id, until=until, base=prefix)
    name = recording.filename or recording.id
    return page(name, _body(recording, name, media=escape(links["media"]), until=until))


def _body(recording: Recording, name: str, *, media: str, until: datetime) -> str:
    return (
        f"<h1>{escape(name)}</h1>"
        f'<video controls preload="metadata" src="{media}"></video>'
        f'<p>{_facts(recording)} · <a href="{media}&amp;download=true">Download</a></p>'
        f'<p class="note">This link works until {until:%Y-%m-%d %H:%M} UTC.</p>'
    )


def _facts(recording: Recording) -> str:
    if recording.state is RecordingState.FAILED:
        return f"The recording failed ({escape(recording.failure or 'unknown')}); what was written is kept"
    if recording.state is not RecordingState.AVAILABLE:
        return "Still being recorded: this is what exists now; reload for more"
    minutes, seconds = divmod(round(recording.duration_s or 0), 60)
    return f"{minutes}:{seconds:02} min, {(recording.bytes or 0) / 1e6:.1f} MB"


OPERATIONS = (
    Operation(
        "GET",
        "/watch/{recording}",
        id="watchPage",
        summary="A page that plays the recording.",
        handler=watch,
        query=WatchQuery,
        replies=(Reply(200, "The page.", media_type="text/html"),),
        tag="recordings",
    ),
)
