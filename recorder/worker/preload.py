"""The preload of the forkserver: all that a worker needs, imported before the first fork."""

import gc

import uvloop

import media.engine
import recorder.worker.main
import storage.spool

__all__ = ["media", "recorder", "storage", "uvloop"]

gc.collect()
gc.freeze()  # a collection in a worker must not write to, and so copy, the pages that it shares
