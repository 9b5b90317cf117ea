"""Recordings as callers know them: started, stopped, watched, read, published into, and found again.

Imports recording, supervision and services.conversation; imported by the composition alone.
"""
