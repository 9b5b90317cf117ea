"""Access: API keys as callers manage them, and whose a bearer token is.

Imports database and settings' bounds; imported by the composition alone.
"""
