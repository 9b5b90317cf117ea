"""Log lines as `key=value` text or JSON: one line an event, what it is about in fields, no secrets.

Code logs a fixed sentence and hands everything that varies in `extra=`.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from recorder.kernel.log.subject import subject

# Libraries that would say, at info and debug, who calls from where, what is in the database, and keys.
CHATTY = (
    *("aioice", "aiortc", "aiosqlite", "asyncio", "asyncssh"),
    *("aiobotocore", "alembic", "azure", "botocore", "google", "sqlalchemy", "urllib3"),
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class TextFormatter(logging.Formatter):
    """`time level logger: sentence key=value ...`, and a traceback below where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        fields = "".join(f" {key}={_quoted(value)}" for key, value in _fields(record).items())
        line = f"{when} {record.levelname.lower()} {record.name}: {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Context(logging.Filter):
    """Adds what is the same for every line of this process, and the recording that its task works for."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__()
        self._fields = fields

    def filter(self, record: logging.LogRecord) -> bool:
        for key, value in self._fields.items():
            record.__dict__.setdefault(key, value)
        if (recording := subject()) is not None:
            record.__dict__.setdefault("recording", recording)
        return True


def configure(log_format: str, level: str, **context: str) -> None:
    """Send this process's log to stderr; every line carries `context`."""
    logging.basicConfig(level=level.upper(), handlers=[log_to(sys.stderr, log_format, **context)], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)


def log_to(stream: TextIO, log_format: str, **context: str) -> logging.Handler:
    """A handler that writes lines of this format there."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(_Context(context))
    return handler


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _quoted(value: Any) -> str:
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' ="') else json.dumps(text)
