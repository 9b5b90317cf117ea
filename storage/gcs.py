"""Google Cloud Storage by its S3-compatible XML API: what is different there, as settings of the S3 store.

It takes HMAC keys (of a service account) where S3 takes access keys. It does not take Amazon's own headers
for encryption, tags and object lock: those are set on the bucket.
"""

import msgspec

from recorder.errors import caller_error
from storage.settings import StorageSettings

ENDPOINT = "https://storage.googleapis.com"
REGION = "auto"  # the signature names one; Google takes this for every bucket

_ON_THE_BUCKET = ("encryption", "kms_key_id", "object_lock_mode", "object_lock_days", "legal_hold", "tags")


def gcs_settings(settings: StorageSettings) -> StorageSettings:
    """The S3 settings for a gs:// URL; storage_settings_invalid for what is set on the bucket there."""
    refused = [name for name in _ON_THE_BUCKET if getattr(settings, name)]
    if refused:
        raise caller_error(
            "storage_settings_invalid",
            f"On Google Cloud Storage {', '.join(refused)} is a setting of the bucket, not of ours.",
        )
    return msgspec.structs.replace(
        settings,
        endpoint=settings.endpoint or ENDPOINT,
        region=settings.region or REGION,
        path_style=True if settings.path_style is None else settings.path_style,
    )
