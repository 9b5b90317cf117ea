"""Failure codes of recordings in words for people. Pure.

A word here says what it means for the call and whom to ask; what exactly broke is in the server's log.
"""

_STORE = "the storage cannot be reached"
_RECORDER = "the recorder stopped unexpectedly"
_NOT_STARTED = "the recorder could not be started"
_WORDS = {
    "store_unreachable": _STORE,
    "store_throttled": "the storage is overloaded",
    "store_denied": "the storage refuses access",
    "store_failed": "the storage does not work",
    "store_full": "the storage is full",
    "bucket_missing": "the storage is not set up",
    "store_not_configured": "the storage is not set up",
    "store_changed": "the storage is not the one that was used before",
    "storage_test_failed": "the storage has failed its test",
    "disk_full": "the recorder's disk is full",
    "disk_almost_full": "the recorder's disk is almost full",
    "no_media": "no sound or picture reached the recorder",
    "overloaded": "the recorder has no room for another recording",
    "worker_died": _RECORDER,
    "worker_hung": _RECORDER,
    "worker_unreachable": _RECORDER,
    "worker_not_launched": _NOT_STARTED,
    "worker_not_ready": _NOT_STARTED,
    "engine_failed": _NOT_STARTED,
    "shutting_down": "the server is being restarted",
}
OTHERWISE = "the recorder has failed"


def words(failure: str) -> str:
    """What went wrong, as the end of a sentence."""
    return _WORDS.get(failure, OTHERWISE)
