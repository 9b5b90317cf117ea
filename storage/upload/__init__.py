"""Uploads at work: every spool of this node on its way to the store, retried until it is there.

Imports all of storage but its stores; imported by recorder.archive.
"""
