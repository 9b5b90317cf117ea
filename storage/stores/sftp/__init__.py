"""A directory on an SFTP server: the only place that knows asyncssh.

Imports storage.store and storage.errors; imported by storage.open_store.
"""
