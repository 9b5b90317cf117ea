"""The header fields that are WHIP's own: Link for ICE servers, If-Match for ICE sessions."""

from multidict import CIMultiDict

from recorder.kernel.errors import caller_error
from recorder.kernel.media import IceServer
from signaling.http.problems import InvalidInputError
from signaling.http.ranges import parse_entity_tags


def if_match_of(header: str | None) -> str:
    """The one entity tag, without quotes, or "*"; 428 without the header, 400 and 412 as RFC 9110 says."""
    if header is None:
        raise caller_error(
            "if_match_required", "A PATCH says with If-Match which ICE session it means.", status=428
        )
    tags = parse_entity_tags(header)
    if tags is None or len(tags) != 1:
        raise InvalidInputError(
            "invalid_if_match", "If-Match has to be one entity tag or *.", field="header.If-Match", status=400
        )
    if tags[0].startswith("W/"):
        raise caller_error(  # If-Match compares strongly: a weak tag is never the same
            "stale_ice_session", "A weak entity tag names no ICE session.", status=412
        )
    return tags[0].strip('"')


def ice_server_links(ice_servers: list[IceServer]) -> CIMultiDict[str]:
    """One Link field per URL of every server, with its short-lived credentials (RFC 9725, 4.6)."""
    headers: CIMultiDict[str] = CIMultiDict()
    for server in ice_servers:
        for url in server.urls:
            headers.add("Link", _link(url, server))
    return headers


def _link(url: str, server: IceServer) -> str:
    link = f'<{url}>; rel="ice-server"'
    if server.username is not None and server.credential is not None:
        link += f"; username={_quoted(server.username)}; credential={_quoted(server.credential)}"
        link += '; credential-type="password"'
    return link


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
