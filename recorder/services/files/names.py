"""Names of files that strangers chose, made safe to keep, to show and to save under. Pure."""

import re
import unicodedata

from recorder.kernel.files.file import FILENAME_BYTES_MAX

FALLBACK = "file"
_EXTENSION_CHARS_MAX = 16
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z)", re.IGNORECASE)  # Windows opens these
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}\Z")
UNKNOWN_TYPE = "application/octet-stream"


def safe_filename(given: str) -> str:
    """What a file is called here: its last path segment, without what systems refuse or readers misread.

    Characters that turn the direction of writing are taken out: with them `exe.txt` may end otherwise.
    """
    name = unicodedata.normalize("NFC", re.split(r"[/\\]", given)[-1])
    name = "".join(char for char in name if unicodedata.category(char) not in ("Cf", "Cs", "Co", "Cn"))
    name = _FORBIDDEN.sub("_", name).strip().strip(".").strip()
    if not name.strip("_. "):
        return FALLBACK
    return _shortened(f"_{name}" if _DEVICE.match(name) else name)


def media_type(given: str) -> str:
    """The media type that a sender names, where it is one."""
    return given.lower() if _MEDIA_TYPE.match(given) else UNKNOWN_TYPE


def _shortened(name: str) -> str:
    """The beginning and the extension, within FILENAME_BYTES_MAX of UTF-8."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > _EXTENSION_CHARS_MAX:
        stem, dot, extension = name, "", ""
    room = FILENAME_BYTES_MAX - len((dot + extension).encode())
    kept = stem.encode()[:room].decode(errors="ignore").rstrip(" .")
    return f"{kept}{dot}{extension}"
