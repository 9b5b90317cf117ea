"""Conversations, what is said in them, and consent, as callers know them.

Imports recording, supervision, database and the services' settings; imported by the composition alone.
"""
