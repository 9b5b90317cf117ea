"""`bystander settings import`: another product's properties in, our TOML out, and what is left over."""

import sys
from pathlib import Path

from recorder.kernel.errors import caller_error
from recorder.settings.loading import build
from recorder.settings.sample import toml_value
from recorder.settings.vendor_properties import Imported, imported, read_properties

FILE_BYTES_MAX = 1024 * 1024  # of hundreds of properties; more is no such file


def main(file: Path) -> int:
    """Print TOML, and to stderr what could not be taken over: 1 where there was something, else 0.

    Raises BystanderError invalid_properties, or invalid_settings where the values contradict each other.
    """
    found = imported(read_properties(_read(file)))
    build(found.values)
    sys.stdout.write(toml(found, source=file.name))
    for one in found.unmapped:
        sys.stderr.write(f"not taken over: {one.property} = {one.value!r}: {one.reason}\n")
    if found.others:
        sys.stderr.write(f"{len(found.others)} properties are not about recording.\n")
    return 1 if found.unmapped else 0


def toml(found: Imported, *, source: str) -> str:
    """What was taken over, as a bystander.toml that says nothing else."""
    lines = [f"# From {source}."]
    for section, keys in found.values.items():
        lines += ["", f"[{section}]", *(f"{key} = {toml_value(value)}" for key, value in keys.items())]
    return "\n".join(lines) + "\n"


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            data = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise caller_error("invalid_properties", f"{file}: cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX:
        raise caller_error("invalid_properties", f"{file}: longer than {FILE_BYTES_MAX} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")  # what Java took such files to be until version 9
