"""What the forkserver imports before the first fork, so that a worker starts with all of it in place."""

import gc

import uvloop

import media.engine
import recorder.worker.main
import storage.spool

__all__ = ["media", "recorder", "storage", "uvloop"]

gc.collect()
gc.freeze()  # a collection in a worker must not write to, and so copy, the pages that it shares
