"""The state of an upload: upload.json of a spool, and the receipt of a finished one."""

from enum import StrEnum

import msgspec

from storage.store import Part


class HeadPolicy(StrEnum):
    """When part 1 is sent."""

    AS_IT_IS = "as_it_is"  # with the others; nothing is filled in
    HOLD = "hold"  # last, filled in
    REPLACE = "replace"  # with the others, and once more at the end, filled in


class Container(StrEnum):
    """What the finished object is."""

    FMP4 = "fmp4"  # fragments, as they were recorded
    MP4 = "mp4"  # an ordinary file around them


class Phase(StrEnum):
    """How far an upload is."""

    SENDING = "sending"
    COMPLETED = "completed"  # the store said that it has the object
    VERIFIED = "verified"  # the object was looked at and is whole: the spool may go
    EMPTY = "empty"  # the recording has no media; there is no object


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """A verified object. `damaged_fragments` were unreadable in the spool and are blank in the object."""

    key: str
    size: int
    etag: str
    damaged_fragments: int = 0


class UploadState(msgspec.Struct, frozen=True, kw_only=True):
    """All that must outlive the uploader; upload.json. A part without an etag must be sent again."""

    key: str
    head: HeadPolicy
    part_size_bytes: int
    phase: Phase = Phase.SENDING
    container: Container = Container.FMP4
    adopts: bool = False  # the store takes the spool's file over; nothing is sent
    upload_id: str | None = None
    parts: tuple[Part, ...] = ()
    head_filled: bool = False
    head_growth: int = 0  # bytes that the object is longer than the spool, by its init segment
    damaged: tuple[int, ...] = ()  # offsets of fragments that could not be read
    events_stored: bool = False
    strays: bool = (
        False  # uploads of this key may dangle that nobody knows of: their beginning was not heard of
    )
    etag: str | None = None  # that the finished object must have, where it is known
    stored: StoredObject | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.phase in (Phase.VERIFIED, Phase.EMPTY)
