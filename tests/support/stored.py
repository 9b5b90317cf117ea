"""A recording's object and its sidecar in a directory that is the store."""

from pathlib import Path


def stored_media(store: Path, recording: str) -> Path:
    """The only MP4 of this recording."""
    return _only(store, f"*{recording}.mp4")


def stored_events(store: Path, recording: str) -> Path:
    """The recording's account of who came and went, one JSON object a line."""
    return _only(store, f"*{recording}.events.jsonl")


def _only(store: Path, pattern: str) -> Path:
    found = list(store.rglob(pattern))
    if len(found) != 1:
        raise AssertionError(f"{len(found)} objects are named {pattern}")
    return found[0]
