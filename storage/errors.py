"""Errors of stores, by stable codes. The store's fault, so an upload waits and tries again."""

from recorder.kernel.errors import BystanderError, Fault, caller_error

UNREACHABLE = "store_unreachable"
THROTTLED = "store_throttled"
DENIED = "store_denied"
FAILED = "store_failed"
FULL = "store_full"
BUCKET_MISSING = "bucket_missing"
OBJECT_MISSING = "object_missing"
UPLOAD_MISSING = "upload_missing"
PART_REFUSED = "part_refused"
CORRUPTED = "object_corrupted"
LOCKED = "object_locked"
CHANGED = "store_changed"
NOT_CONFIGURED = "store_not_configured"

_DETAILS = {
    UNREACHABLE: "The object store does not answer.",
    THROTTLED: "The object store asks for fewer requests.",
    DENIED: "The object store refuses our credentials.",
    FAILED: "The object store answered with an error.",
    FULL: "The object store has no room left.",
    BUCKET_MISSING: "The bucket does not exist.",
    OBJECT_MISSING: "The object store does not have this object.",
    UPLOAD_MISSING: "The object store does not know this multipart upload (any more).",
    PART_REFUSED: "The object store refuses this part.",
    CORRUPTED: "The object store holds or received other bytes than we sent.",
    CHANGED: "The store is not the one that was recorded into: an unmounted disk, or another bucket.",
    NOT_CONFIGURED: "The settings have no such store any more.",
    LOCKED: "The object is locked or under legal hold.",
}
_STATUS = {FULL: 507, OBJECT_MISSING: 404, LOCKED: 409}


def store_error(code: str, said: str | None = None) -> BystanderError:
    """The error for a code of this module; `said` is the store's own word for it, without secrets."""
    detail = _DETAILS[code] if said is None else f"{_DETAILS[code]} It said: {said[:200]}"
    return BystanderError(code, detail, fault=Fault.DESTINATION, status=_STATUS.get(code, 503))


def range_error() -> BystanderError:
    """Bytes were asked for that the object does not have."""
    return caller_error("range_not_satisfiable", "The object does not have these bytes.", status=416)
