"""The kinds of text that callers may send, as annotated types for request bodies."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from recorder.kernel.limits import METADATA_ENTRIES_MAX, TEXT_CHARS_MAX

_NO_CONTROL_CHARACTERS = r"^(?![\s\S]*[\u0000-\u001f\u007f])"  # they break logs, headers and some databases

Text = Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX, pattern=_NO_CONTROL_CHARACTERS)]
AccountId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_\-]{1,128}$")]  # stands in paths
OptionalText = Annotated[str, Meta(max_length=TEXT_CHARS_MAX, pattern=_NO_CONTROL_CHARACTERS)]
METADATA_PATTERN = _NO_CONTROL_CHARACTERS + r"[^:]+:"  # a key without a colon, a colon, a value
Moment = Annotated[datetime, Meta(tz=True)]  # RFC 3339 with its offset
Metadata = Annotated[dict[Text, OptionalText], Meta(max_length=METADATA_ENTRIES_MAX)]
