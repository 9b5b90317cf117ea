"""Object stores, each fulfilling storage.store.ObjectStore, and the test that every one has to pass.

Imports storage.store and storage.errors; imported by storage.open_store.
"""
