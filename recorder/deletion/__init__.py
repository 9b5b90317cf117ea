"""Deletion of recordings: because somebody asks for it, or because they are old enough.

Imports recording, archive and database; imported by services, the composition and the command.
"""
