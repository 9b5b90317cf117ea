"""SDP as lines (RFC 8866): sections and their attributes, taken as they are and judged by nobody here.

aiortc's own parser refuses whole offers for one attribute that it does not know in a section nobody wants;
a recorder answers what it can. Who offers shares the event loop with everybody who is being recorded, so
everything here, and everything done with it, takes time in proportion to the text.
"""

import re
from dataclasses import dataclass, field

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.limits import SDP_BYTES_MAX

LINES_MAX = 4096  # a browser's are 25 bytes and more: SDP_BYTES_MAX has room for fewer
SECTIONS_MAX = 64  # a conference page has one per remote participant and kind
ATTRIBUTES_PER_SECTION_MAX = 1024  # a browser's simulcast section with all its codecs has about 200
FORMATS_PER_SECTION_MAX = 128  # RTP payload types have 7 bits; a browser offers up to 50

_LINE = re.compile(r"[a-z]=[^\x00-\x08\x0a-\x1f\x7f]*\Z")
_MEDIA = re.compile(r"m=([!-~]+) ([0-9]{1,5})(?:/[0-9]+)? ([!-~]+)((?: [!-~]+)+)\Z")


@dataclass(slots=True)
class Attributes:
    """The `a=` lines of the session or of one section, in order, by name; a flag has the value ''."""

    _values: dict[str, list[str]] = field(default_factory=dict)
    _count: int = 0

    def add(self, line: str) -> None:
        """Take what follows `a=`; raises malformed_sdp over ATTRIBUTES_PER_SECTION_MAX."""
        if self._count == ATTRIBUTES_PER_SECTION_MAX:
            raise malformed("A section of the SDP has too many attributes.")
        self._count += 1
        name, _, value = line.partition(":")
        self._values.setdefault(name, []).append(value)

    def first(self, name: str) -> str | None:
        """The value of the first attribute of this name."""
        values = self._values.get(name)
        return values[0] if values else None

    def all(self, name: str) -> list[str]:
        """The values of all attributes of this name."""
        return self._values.get(name, [])

    def __contains__(self, name: str) -> bool:
        return name in self._values


@dataclass(slots=True)
class Section:
    """One media section: the `m=` line and what belongs to it.

    `formats` are in the order of the offer, each once; a dictionary, because sections ask who is among them.
    """

    kind: str
    port: int
    protocol: str
    formats: dict[str, None]
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(slots=True)
class Description:
    """A whole session description."""

    attributes: Attributes
    sections: list[Section]


def malformed(detail: str) -> BystanderError:
    """The error for SDP that cannot be read."""
    return caller_error("malformed_sdp", detail)


def split_lines(text: str) -> list[str]:
    """The lines of an SDP or a fragment of one; raises malformed_sdp, or sdp_too_large (413)."""
    if len(text) > SDP_BYTES_MAX or len(text.encode("utf-8", "surrogatepass")) > SDP_BYTES_MAX:
        raise caller_error("sdp_too_large", f"The SDP exceeds {SDP_BYTES_MAX} bytes.", status=413)
    lines = [line for line in re.split(r"\r\n|\n|\r", text) if line]
    if len(lines) > LINES_MAX:
        raise malformed("The SDP has too many lines.")
    for line in lines:
        if not _LINE.match(line):
            raise malformed("A line of the SDP is not of the form <letter>=<value>.")
    return lines


def parse_section(line: str) -> Section:
    """Read an `m=` line."""
    match = _MEDIA.match(line)
    if match is None or int(match[2]) > 65535:
        raise malformed("An m= line of the SDP cannot be read.")
    formats = dict.fromkeys(match[4].split())
    if len(formats) > FORMATS_PER_SECTION_MAX:
        raise malformed("An m= line of the SDP has too many formats.")
    return Section(kind=match[1], port=int(match[2]), protocol=match[3], formats=formats)


def parse(text: str) -> Description:
    """Read a session description; raises BystanderError malformed_sdp (400) or sdp_too_large (413)."""
    lines = split_lines(text)
    if not lines or lines[0] != "v=0":
        raise malformed("The SDP does not begin with v=0.")
    session = Attributes()
    sections: list[Section] = []
    for line in lines:
        if line.startswith("m="):
            if len(sections) == SECTIONS_MAX:
                raise malformed("The SDP has too many media sections.")
            sections.append(parse_section(line))
        elif line.startswith("a="):
            (sections[-1].attributes if sections else session).add(line[2:])
    return Description(session, sections)
