"""The child process that makes one recording: its socket, its engine, its spool.

Imports media.engine and storage.spool; the parent imports its protocol and its order alone.
"""
