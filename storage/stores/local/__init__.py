"""A local directory: every object is an ordinary file under its key.

Imports storage.store and storage.spool.durable_files; imported by storage.open_store.
"""
