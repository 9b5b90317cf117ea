"""Acts for the audit log, as values that every package may make.

Imports msgspec alone.
"""
