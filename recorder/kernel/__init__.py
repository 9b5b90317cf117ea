"""The words that every package shares: ids, clock, errors, limits, permissions, and the values by subject.

Imports the standard library and msgspec alone. The only part of recorder that signaling, media and storage
may import.
"""
