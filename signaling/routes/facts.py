"""Facts of one request for the audit log, gathered on its way through its operation."""

from aiohttp import web

from signaling.ports import Caller

REQUEST_ID = web.RequestKey("request_id", str)

# What tells nothing of anybody, and is asked by machines all the time.
UNNOTED = frozenset(
    {
        *("getHealth", "getReadiness", "getMetrics", "getOpenapi", "getDocs", "getConsoleSession"),
        *("optionsEndpoint", "optionsSession", "getEndpoint", "headEndpoint", "getSession", "headSession"),
        *("getUploadTerms", "getServices"),
        *("previewFilename", "listSettingDefinitions"),
    }
)


class Facts:
    """What the path of a request does not say. Everything in here is shown to who reads the audit log."""

    def __init__(self) -> None:
        self.caller: Caller | None = None
        self.has_link = False
        self.code: str | None = None
        self.target: str | None = None
        self.conversation: str | None = None
        self.recording: str | None = None
        self.details: dict[str, str] = {}
        self.is_noted = False

    def admitted(self, caller: Caller | None, *, has_link: bool = False) -> None:
        """Who it is; None where nobody had to say."""
        self.caller, self.has_link = caller, has_link

    def failed(self, code: str) -> None:
        """Why it came to nothing."""
        self.code = code

    def tell(self, details: dict[str, str], *, target: str | None = None) -> None:
        """What was done more precisely, and to what; no secrets."""
        self.details = {**self.details, **details}
        self.target = target or self.target

    def about(self, *, conversation: str | None = None, recording: str | None = None) -> None:
        """What was made by the request."""
        self.conversation = conversation or self.conversation
        self.recording = recording or self.recording

    def noted(self) -> None:
        """It stands in the log: once is enough."""
        self.is_noted = True


FACTS = web.RequestKey("facts", Facts)
