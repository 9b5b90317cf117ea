"""HLS playlists (RFC 8216) over the one recorded file: every media segment is a byte range of it."""

from collections.abc import Sequence

from media.isobmff.index import FragmentPlace
from recorder.kernel.limits import STILL_FRAGMENT_DURATION_S_MAX

_VERSION = 7  # fragmented MP4 with EXT-X-MAP
_MICROSECONDS = 1_000_000
_FORBIDDEN_IN_URI = frozenset('"\r\n')  # would end the attribute or the line


def event_playlist(
    uri: str, init_bytes: int, fragments: Sequence[FragmentPlace], *, ended: bool = False
) -> str:
    """Return the playlist of a recording that may still grow: lines are only ever added to it.

    `uri` names the file, relative to the playlist or absolute; its first `init_bytes` bytes are the init
    segment. `ended` adds the tag that tells players to stop asking. Raises ValueError for a URI with quotes
    or line ends.
    """
    return _playlist("EVENT", uri, init_bytes, fragments, ended=ended)


def vod_playlist(
    uri: str, init_bytes: int, fragments: Sequence[FragmentPlace], *, init_offset: int = 0
) -> str:
    """Return the playlist of a finished recording; the arguments are those of `event_playlist`.

    Its init segment may stand further on in the file, at `init_offset`.
    """
    return _playlist("VOD", uri, init_bytes, fragments, ended=True, init_offset=init_offset)


def _playlist(
    kind: str,
    uri: str,
    init_bytes: int,
    fragments: Sequence[FragmentPlace],
    *,
    ended: bool,
    init_offset: int = 0,
) -> str:
    if not _FORBIDDEN_IN_URI.isdisjoint(uri):
        raise ValueError("a URI in a playlist has no quotes and no line ends")
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{_target_duration_s(fragments)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{kind}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{uri}",BYTERANGE="{init_bytes}@{init_offset}"',
    ]
    for fragment in fragments:
        lines.append(f"#EXTINF:{fragment.duration_us / _MICROSECONDS:.6f},")
        lines.append(f"#EXT-X-BYTERANGE:{fragment.size}@{fragment.offset}")
        lines.append(uri)
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _target_duration_s(fragments: Sequence[FragmentPlace]) -> int:
    """Return a bound that stays as it is while the recording grows, unless a fragment broke its own."""
    longest_us = max((fragment.duration_us for fragment in fragments), default=0)
    rounded_s = (longest_us + _MICROSECONDS // 2) // _MICROSECONDS
    return max(round(STILL_FRAGMENT_DURATION_S_MAX), rounded_s)
