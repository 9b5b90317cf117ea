"""Object keys: where a recording and what belongs to it stand in the bucket.

Keys are relative to the store's prefix. `<conversation>/<filename>.mp4` is the recording,
`<conversation>/<filename>.events.jsonl` what happened in it. docs/storage.md holds the whole layout.
"""

import re

from recorder.errors import caller_error

KEY_BYTES_MAX = 900  # S3 takes 1024 with the prefix; the rest is the prefix's
SEGMENT_BYTES_MAX = 200  # ext4 and NTFS take 255; suffixes of hidden files need some of it
RESERVED_SEGMENT = ".bystander"  # under it stores keep what is not a recording

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]")
_RECORDING = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")


def check_key(key: str) -> str:
    """Return `key` if every store can hold it and no directory can be left by it; else object_key_invalid."""
    segments = key.split("/")
    bad = (
        len(key.encode()) > KEY_BYTES_MAX
        or _FORBIDDEN.search(key) is not None
        or any(not _is_safe(segment) for segment in segments)
        or segments[0] == RESERVED_SEGMENT
    )
    if bad:
        raise caller_error("object_key_invalid", "The object key cannot be used in a bucket or directory.")
    return key


def check_recording(recording: str) -> str:
    """Return `recording` if it is safe as a directory name; else recording_id_invalid."""
    if _RECORDING.match(recording) is None:
        raise caller_error("recording_id_invalid", "The recording id cannot name a spool.")
    return recording


def events_key(key: str) -> str:
    """The key of the sidecar that tells what happened in the recording stored under `key`."""
    return key.removesuffix(".mp4") + ".events.jsonl"


def _is_safe(segment: str) -> bool:
    return (
        segment not in ("", ".", "..")
        and len(segment.encode()) <= SEGMENT_BYTES_MAX
        and not segment.endswith((" ", "."))
    )
