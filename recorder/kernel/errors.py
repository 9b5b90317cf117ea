"""One error type that crosses packages: a stable code, and whose fault it is."""

from enum import StrEnum


class Fault(StrEnum):
    """Who can mend it."""

    CALLER = "caller"  # the request is wrong; the same request will fail again
    PEER = "peer"  # the media peer on the other side misbehaved or vanished
    DESTINATION = "destination"  # the object store or the disk cannot take what we have
    RESOURCE = "resource"  # this machine has not enough of something; later may work
    SERVER = "server"  # our own defect


class BystanderError(Exception):
    """An error with a stable `code` (snake_case), whose `fault` it is, and an HTTP `status`.

    `detail` is one sentence for people. It never carries a secret, a path of this machine or a traceback.
    """

    def __init__(self, code: str, detail: str, *, fault: Fault, status: int) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.fault = fault
        self.status = status

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.code, self.detail, self.fault, self.status))


def _rebuild(code: str, detail: str, fault: Fault, status: int) -> BystanderError:
    return BystanderError(code, detail, fault=fault, status=status)


def caller_error(code: str, detail: str, *, status: int = 400) -> BystanderError:
    """The caller's request cannot be served as it stands."""
    return BystanderError(code, detail, fault=Fault.CALLER, status=status)


def not_found(what: str) -> BystanderError:
    """Nothing of that name exists, or the caller may not know that it does."""
    return BystanderError("not_found", f"There is no such {what}.", fault=Fault.CALLER, status=404)
