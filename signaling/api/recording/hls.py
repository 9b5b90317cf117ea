"""GET of a recording's HLS playlist: byte ranges of its one MP4, also while it is still being recorded.

The playlist names the media by a signed link, so that whoever may have the one needs nothing else to play.
Its path ends in .mp4 because players judge by names: FFmpeg 8 refuses segments without a known ending.
"""

import msgspec
from aiohttp import web

from signaling.http.signed_links import link_expiry
from signaling.routes.operation import ApiCall, Operation, Reply

CONTENT_TYPE = "application/vnd.apple.mpegurl"  # RFC 8216, 10


class PlaylistQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed link's parameters."""

    expires: int | None = None
    signature: str | None = None


async def playlist(call: ApiCall) -> web.Response:
    call.query(PlaylistQuery)
    recording, context = call.path("recording"), call.context
    until = call.granted.links_until or link_expiry(context.clock.utc_now())
    link = context.links.sign(f"/v1/recordings/{recording}/media.mp4", until)
    written = await context.ports.recordings.playlist(recording, f"../media.mp4?{link.partition('?')[2]}")
    return web.Response(
        text=written.text,
        content_type=CONTENT_TYPE,
        headers={"Cache-Control": "no-store"},  # it grows, and what it links to expires
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/recordings/{recording}/hls/index.m3u8",
        id="getRecordingPlaylist",
        summary="Get an HLS playlist: EVENT while it is being recorded, VOD afterwards.",
        handler=playlist,
        query=PlaylistQuery,
        replies=(Reply(200, "The playlist.", media_type=CONTENT_TYPE),),
        problems={
            409: ("no_index", "no_media"),
            503: ("store_changed", "store_not_configured", "store_unreachable"),
        },
        tag="recordings",
    ),
)
