"""Azure Blob Storage: the only place that knows its library.

Imports storage.store and storage.errors; imported by storage.open_store.
"""
