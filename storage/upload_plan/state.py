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


class Outcome(StrEnum):
    """What came of a step."""

    BEGUN = "begun"  # the store opened a multipart upload
    PART_TAKEN = "part_taken"
    EVENTS_TAKEN = "events_taken"
    JOINED = "joined"  # the parts are the object, as the store says
    WHOLE_TAKEN = "whole_taken"  # one request, or the file itself
    NOTHING_RECORDED = "nothing_recorded"
    PROVED = "proved"  # the object holds what was sent
    DISPROVED = "disproved"  # it does not, or is gone
    LOST = "lost"  # the store lost the upload, or refuses to go on with it
    HELD_ALREADY = "held_already"  # a longer object of this recording holds all that the spool has


MOVES: dict[tuple[Phase, Outcome], Phase] = {
    (Phase.SENDING, Outcome.BEGUN): Phase.SENDING,
    (Phase.SENDING, Outcome.PART_TAKEN): Phase.SENDING,
    (Phase.SENDING, Outcome.EVENTS_TAKEN): Phase.SENDING,
    (Phase.SENDING, Outcome.LOST): Phase.SENDING,
    (Phase.SENDING, Outcome.JOINED): Phase.COMPLETED,
    (Phase.SENDING, Outcome.WHOLE_TAKEN): Phase.COMPLETED,
    (Phase.SENDING, Outcome.NOTHING_RECORDED): Phase.EMPTY,
    (Phase.SENDING, Outcome.HELD_ALREADY): Phase.VERIFIED,
    (Phase.COMPLETED, Outcome.DISPROVED): Phase.SENDING,
    (Phase.COMPLETED, Outcome.PROVED): Phase.VERIFIED,
}


def after(phase: Phase, outcome: Outcome) -> Phase:
    """The phase that follows; ValueError for a move that the table does not know."""
    if (phase, outcome) not in MOVES:
        raise ValueError(f"an upload that is {phase} is not {outcome}")
    return MOVES[phase, outcome]


class Proof(StrEnum):
    """Why an object is believed to hold what was recorded."""

    DIGEST = "digest"  # the store's digest of the whole is ours
    PARTS = "parts"  # its digests of all parts are ours, and beginning, end and size are right
    READ_BACK = "read_back"  # every byte was read again
    SAME_FILE = "same_file"  # the object is the very file that was recorded
    HELD_ALREADY = "held_already"  # every fragment was found in a longer object


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """A verified object. `damaged_fragments` were unreadable in the spool and are blank in the object."""

    key: str
    size: int
    etag: str
    damaged_fragments: int = 0
    missing_bytes: int = 0  # that the writer had recorded and neither spool nor store holds any more
    missing_us: int = 0  # of the recording's time: what is missing, and what is blank
    altered: bool = False  # something in it is not what was recorded, and nobody can say what
    proof: Proof | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it holds all that was recorded, so that nothing in the spool is needed any more."""
        return self.missing_bytes == 0 and self.damaged_fragments == 0 and not self.altered


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
    acknowledged: int = 0  # bytes of the spool that the store ever had, from the first on; outlives restarts
    head_crc32c: int | None = None  # of the object's init segment, as it was sent last
    etag: str | None = None  # that the finished object must have, where it is known
    stored: StoredObject | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return self.phase in (Phase.VERIFIED, Phase.EMPTY)
