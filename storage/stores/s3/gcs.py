"""Google Cloud Storage by its S3-compatible XML API: what is different there, as settings of the S3 store.

It takes HMAC keys where S3 takes access keys, or a service account's tokens. It does not take Amazon's own
headers for encryption, tags and object lock: those are set on the bucket.
"""

from pathlib import Path

import msgspec

from recorder.kernel.errors import caller_error
from recorder.kernel.network.proxy import Proxy
from storage.settings import StorageSettings
from storage.stores.s3.google_access import GoogleAccess

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


def service_account(settings: StorageSettings, proxy: Proxy | None = None) -> GoogleAccess | None:
    """The account whose key file is set; storage_settings_invalid where HMAC keys are set besides."""
    if settings.service_account_file is None:
        return None
    if settings.access_key_id is not None:
        raise caller_error(
            "storage_settings_invalid",
            "Set storage.service_account_file or HMAC keys (access_key_id), not both.",
        )
    key_file = Path(settings.service_account_file)
    return GoogleAccess(key_file, timeout_s=settings.connect_timeout_s, proxy=proxy)
