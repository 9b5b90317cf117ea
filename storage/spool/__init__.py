"""The spool: an append-only directory on the local disk that holds a recording until the store has it.

The worker writes it (SpoolWriter), the server reads it (SpoolReader); they share storage.spool.format and
never each other. Imports storage.keys; imported by all that ships, keeps beside, finishes or reads back.
"""

from storage.spool.directory import mend, open_or_none, seal, spool_ending, spooled_recordings, unended_s
from storage.spool.format import IndexEntry, SpoolEnding, SpoolFacts
from storage.spool.reader import SpoolReader
from storage.spool.writer import SpoolWriter

__all__ = [
    "IndexEntry",
    "SpoolEnding",
    "SpoolFacts",
    "SpoolReader",
    "SpoolWriter",
    "mend",
    "open_or_none",
    "seal",
    "spool_ending",
    "spooled_recordings",
    "unended_s",
]
