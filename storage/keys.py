"""Object keys: where a recording and what belongs to it stand in the bucket.

Keys are relative to the store's prefix. `<conversation>/<name>_<recording>.mp4` is the recording,
`<conversation>/<name>_<recording>.events.jsonl` what happened in it. docs/storage.md holds the whole layout.
"""

import re

from recorder.kernel.errors import BystanderError, caller_error

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


def is_key(name: str) -> bool:
    """Whether a file of this name can be an object; in a directory there may be others."""
    try:
        check_key(name)
    except BystanderError:
        return False
    return True


def recording_key(conversation: str, filename: str, recording: str) -> str:
    """Where a new recording goes: under its conversation, by its file name and then by its id.

    The name is for people; that no two recordings ever share a key is the id's doing, which is in the name
    exactly once. `filename` is a safe path component that ends in `.mp4`.
    """
    stem = filename.removesuffix(".mp4")
    named = stem if recording in stem else f"{stem}_{recording}"
    return check_key(f"{conversation}/{named}.mp4")


def keys_of(key: str) -> tuple[str, ...]:
    """Every object that belongs to the recording stored under `key`, the recording itself last.

    Named one by one and never by what they begin with: so deleting one recording touches no other.
    """
    return (events_key(key), key)


def check_recording(recording: str) -> str:
    """Return `recording` if it is safe as a directory name; else recording_id_invalid."""
    if not is_recording(recording):
        raise caller_error("recording_id_invalid", "The recording id cannot name a spool.")
    return recording


def is_recording(name: str) -> bool:
    """Whether a directory of this name can be a recording's."""
    return _RECORDING.match(name) is not None


def events_key(key: str) -> str:
    """The key of the sidecar that tells what happened in the recording stored under `key`."""
    return key.removesuffix(".mp4") + ".events.jsonl"


def _is_safe(segment: str) -> bool:
    return (
        segment not in ("", ".", "..")
        and len(segment.encode()) <= SEGMENT_BYTES_MAX
        and not segment.endswith((" ", "."))
    )
