"""Supervision: what starts, holds, releases and ends the recordings of a conversation.

Imports recording and database; imported by services and the composition.
"""
