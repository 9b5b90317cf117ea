"""S3 and what speaks like it, Google Cloud Storage too: the only place that knows aioboto3.

Imports storage.store and storage.errors; imported by storage.open_store.
"""
