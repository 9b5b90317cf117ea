"""The opening of stores: what `storage.url` names is imported when it is asked for, and only then."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from recorder.kernel.errors import caller_error
from recorder.kernel.network.proxy import Proxy
from storage.settings import StorageSettings
from storage.store import ObjectStore

_PROMISES = ("object_lock_mode", "object_lock_days", "legal_hold", "encryption", "kms_key_id")
_KEEP_PROMISES = ("s3", "gs")  # of which gs says itself that they are settings of the bucket


def open_store(
    settings: StorageSettings, *, data_dir: Path = Path("data"), proxy: Proxy | None = None
) -> ObjectStore:
    """The store that `settings.url` names, not connected yet; what is not on this machine, through `proxy`.

    storage_url_invalid when it names none, storage_endpoint_invalid when an endpoint is no URL,
    storage_settings_invalid for a lock, a hold or an encryption that this kind of store cannot keep.
    """
    _check_endpoint("storage.endpoint", settings.endpoint)
    _check_endpoint("storage.sts_endpoint", settings.sts_endpoint)
    scheme, separator, rest = settings.url.partition("://")
    if scheme not in _KEEP_PROMISES:
        _check_promises(settings)
    if settings.url == "memory:":
        from storage.stores.memory import MemoryStore

        return MemoryStore()
    if not separator or scheme == "file":
        from storage.stores.local.store import LocalStore

        return LocalStore(data_dir / (rest if separator else settings.url))
    if scheme == "sftp":
        from storage.stores.sftp.store import SftpStore

        return SftpStore(settings, proxy)
    bucket, _, prefix = rest.partition("/")
    if bucket and scheme in _IN_BUCKETS:
        return _IN_BUCKETS[scheme](settings, bucket, prefix.strip("/"), proxy)
    if scheme in _IN_BUCKETS:
        detail = f"storage.url names no bucket: it should look like {scheme}://bucket/prefix."
        raise caller_error("storage_url_invalid", detail, status=400)
    raise caller_error(
        "storage_url_invalid",
        "storage.url is no directory, and begins with none of s3://, gs://, azure://, sftp://.",
        status=400,
    )


def _check_promises(settings: StorageSettings) -> None:
    """Who asked for a lock must not learn from a deletion that there was none."""
    asked = [name for name in _PROMISES if getattr(settings, name)]
    if asked:
        detail = f"{settings.url} cannot keep what {', '.join(f'storage.{name}' for name in asked)} promises."
        raise caller_error("storage_settings_invalid", f"{detail} Only s3:// stores can.", status=400)


def _check_endpoint(key: str, endpoint: str | None) -> None:
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port, or of brackets
        usable = False
    if not usable or any(character.isspace() for character in endpoint):
        detail = f"{key} is no URL: {endpoint!r} should look like https://s3.example.org:9000."
        raise caller_error("storage_endpoint_invalid", detail, status=400)


def _s3(settings: StorageSettings, bucket: str, prefix: str, proxy: Proxy | None) -> ObjectStore:
    from storage.stores.s3.store import S3Store  # aiobotocore takes half a second to import

    return S3Store(settings, bucket=bucket, prefix=prefix, proxy=proxy)


def _gcs(settings: StorageSettings, bucket: str, prefix: str, proxy: Proxy | None) -> ObjectStore:
    from storage.stores.s3.gcs import gcs_settings, service_account
    from storage.stores.s3.store import S3Store

    access = service_account(settings, proxy)
    return S3Store(gcs_settings(settings), bucket=bucket, prefix=prefix, access=access, proxy=proxy)


def _azure(settings: StorageSettings, container: str, prefix: str, proxy: Proxy | None) -> ObjectStore:
    from storage.stores.azure.store import AzureStore

    return AzureStore(settings, container=container, prefix=prefix, proxy=proxy)


_IN_BUCKETS: dict[str, Callable[[StorageSettings, str, str, Proxy | None], ObjectStore]] = {
    "s3": _s3,
    "gs": _gcs,
    "azure": _azure,
}
