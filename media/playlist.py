"""HLS playlists (RFC 8216) over the one recorded file: every media segment is a byte range of it.

A segment is a whole group of fragments, because players may enter each; so a finished recording has the
same segments as while it grew.
"""

from collections.abc import Sequence

from media.isobmff.index import FragmentPlace, grouped
from recorder.limits import GROUP_DURATION_S_MAX

_VERSION = 7  # fragmented MP4 with EXT-X-MAP
_MICROSECONDS = 1_000_000
_FORBIDDEN_IN_URI = frozenset('"\r\n')  # would end the attribute or the line


def event_playlist(
    uri: str, init_bytes: int, fragments: Sequence[FragmentPlace], *, ended: bool = False
) -> str:
    """Return the playlist of a recording that may still grow: lines are only ever added to it.

    `uri` names the file, relative to the playlist or absolute; its first `init_bytes` bytes are the init
    segment. A group that goes on is left out until it is whole. `ended` adds the tag that tells players to
    stop asking. Raises ValueError for a URI with quotes or line ends.
    """
    groups = [group for group in grouped(fragments) if ended or not group.continued]
    return _playlist("EVENT", uri, init_bytes, groups, ended=ended)


def vod_playlist(
    uri: str, init_bytes: int, fragments: Sequence[FragmentPlace], *, init_offset: int = 0
) -> str:
    """Return the playlist of a finished recording; the arguments are those of `event_playlist`.

    Its init segment may stand further on in the file, at `init_offset`.
    """
    return _playlist("VOD", uri, init_bytes, grouped(fragments), ended=True, init_offset=init_offset)


def _playlist(
    kind: str,
    uri: str,
    init_bytes: int,
    groups: Sequence[FragmentPlace],
    *,
    ended: bool,
    init_offset: int = 0,
) -> str:
    if not _FORBIDDEN_IN_URI.isdisjoint(uri):
        raise ValueError("a URI in a playlist has no quotes and no line ends")
    lines = [
        "#EXTM3U",
        f"#EXT-X-VERSION:{_VERSION}",
        f"#EXT-X-TARGETDURATION:{_target_duration_s(groups)}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        f"#EXT-X-PLAYLIST-TYPE:{kind}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{uri}",BYTERANGE="{init_bytes}@{init_offset}"',
    ]
    for group in groups:
        lines.append(f"#EXTINF:{group.duration_us / _MICROSECONDS:.6f},")
        lines.append(f"#EXT-X-BYTERANGE:{group.size}@{group.offset}")
        lines.append(uri)
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _target_duration_s(groups: Sequence[FragmentPlace]) -> int:
    """Return a bound that stays as it is while the recording grows, unless a group broke its own."""
    longest_us = max((group.duration_us for group in groups), default=0)
    return max(round(GROUP_DURATION_S_MAX), (longest_us + _MICROSECONDS // 2) // _MICROSECONDS)
