"""The stores for people: each one's provider, its settings without secrets, what its last test found."""

import asyncio
import re
from collections.abc import Mapping

from recorder.archive.storage_verdict import StorageVerdict, Verdict
from recorder.settings.definitions import DEFAULT_STORE
from signaling import console_port as port
from storage.settings import StorageSettings

SECRETS = frozenset({"secret_access_key", "session_token", "password"})
DISABLED = ("recording", "file_transfer", "backgrounds", "snapshots")  # while the test fails
RECORDING = ("recording",)  # all that goes to a store other than the default
_EVERYWHERE = ("url", "container", "part_size_bytes", "spool_when_unreachable")
_S3 = (
    *("url", "endpoint", "region", "access_key_id", "secret_access_key", "session_token", "role_arn"),
    *("external_id", "path_style", "checksums", "encryption", "kms_key_id", "storage_class"),
    *("object_lock_mode", "object_lock_days", "legal_hold"),
)
_FIELDS = {
    "local": _EVERYWHERE,
    "memory": _EVERYWHERE,
    "s3": (*_S3, *_EVERYWHERE[1:]),
    "gs": ("url", "service_account_file", "access_key_id", "secret_access_key", *_EVERYWHERE[1:]),
    "azure": ("url", "endpoint", "access_key_id", "secret_access_key", "session_token", *_EVERYWHERE[1:]),
    "sftp": ("url", "private_key_file", "known_hosts_file", "password", *_EVERYWHERE[1:]),
}
_PASSWORD = re.compile(r"(?<=:)[^:/@]+(?=@)")  # user:password@host in a URL


class StorageOverview:
    """Reads only."""

    def __init__(self, stores: Mapping[str, tuple[StorageSettings, StorageVerdict]]) -> None:
        """`stores` by name; that of [storage] is there."""
        self._stores = stores

    async def now(self) -> port.StorageOverview:
        """How the stores are set, and what their last tests found."""
        views = [await _viewed(name, *known) for name, known in self._stores.items()]
        default = next(view for view in views if view.name == DEFAULT_STORE)
        return port.StorageOverview(
            provider=default.provider,
            fields=default.fields,
            last_test=default.last_test,
            disabled=default.disabled,
            stores=views,
        )


async def _viewed(name: str, settings: StorageSettings, verdict: StorageVerdict) -> port.StoreOverview:
    provider, last = provider_of(settings), await asyncio.to_thread(verdict.last)
    section, disabled = ("storage", DISABLED) if name == DEFAULT_STORE else (f"stores.{name}", RECORDING)
    return port.StoreOverview(
        name=name,
        provider=provider,
        fields=[_field(section, settings, field) for field in _FIELDS[provider]],
        last_test=None if last is None else _shown(last),
        disabled=[] if last is None or last.ok else list(disabled),
    )


def provider_of(settings: StorageSettings) -> str:
    """local, memory, s3, gs, azure or sftp."""
    scheme, separator, _ = settings.url.partition("://")
    if separator and scheme in _FIELDS:
        return scheme
    return "memory" if settings.url == "memory:" else "local"


def _field(section: str, settings: StorageSettings, name: str) -> port.StorageField:
    value, secret = getattr(settings, name), name in SECRETS
    shown = None if secret or value is None else _PASSWORD.sub("***", str(value))
    return port.StorageField(key=f"{section}.{name}", value=shown, is_set=value is not None, secret=secret)


def _shown(verdict: Verdict) -> port.StorageVerdict:
    return port.StorageVerdict(
        ok=verdict.ok, tested_at=verdict.tested_at, failed_at=verdict.failed_at, reason=verdict.reason
    )
