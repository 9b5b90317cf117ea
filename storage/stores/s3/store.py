"""One bucket and prefix of S3 as an object store."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from storage.errors import DENIED, FAILED, OBJECT_MISSING, range_error, store_error
from storage.keys import check_key
from storage.settings import StorageSettings
from storage.store import SIDE_PREFIX, TEST_PREFIX, ObjectInfo, ObjectProperties
from storage.stores.answers import required
from storage.stores.encryption import Encryption
from storage.stores.object_lock import Hold
from storage.stores.presigned_links import LINK_S_MAX, LinkTerms, no_store_link
from storage.stores.s3.connection import Access, Body, S3Connection, etag_of, without_a_page
from storage.stores.s3.uploads import S3Uploads


class S3Store:
    """An ObjectStore over one bucket and prefix."""

    def __init__(
        self,
        settings: StorageSettings,
        *,
        bucket: str,
        prefix: str,
        access: Access | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """`access` lets in where no secret key signs; then there are no links either."""
        self._s3 = S3Connection(settings, bucket=bucket, prefix=prefix, access=access, proxy=proxy)
        self._gives_links = access is None
        self._settings = settings
        self._uploads = S3Uploads(self._s3, self._fixed_properties)
        self._name = f"s3://{bucket}/{prefix}"

    def __repr__(self) -> str:
        return f"S3Store({self._name})"

    @property
    def uploads(self) -> S3Uploads:
        return self._uploads

    @property
    def adoption(self) -> None:
        """There is no file system here."""

    async def check(self) -> None:
        await self._s3.call("head_bucket")
        if self._lock():
            await self._check_keeps_locks()

    async def _check_keeps_locks(self) -> None:
        """Some stores take an object with a lock and keep the object without it."""
        try:
            answer = await self._s3.call("get_object_lock_configuration")
        except BystanderError as error:
            if error.code == DENIED:  # to ask is a permission of its own, which recording does not need
                return
            raise
        if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
            raise store_error(FAILED, "the settings ask for locks, and this bucket keeps none")

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        answer = await self._s3.call(
            "put_object",
            body=Body(data),
            Key=self._s3.full_key(check_key(key)),
            ContentType=properties.content_type,
            Metadata=dict(properties.metadata),
            **self._s3.digest(hashlib.md5(data, usedforsecurity=False).digest()),
            **self._fixed_properties(key),
        )
        return ObjectInfo(key, len(data), etag_of(answer), properties.content_type, properties.metadata)

    async def head(self, key: str) -> ObjectInfo:
        answer = await self._s3.call("head_object", Key=self._s3.full_key(check_key(key)))
        metadata = tuple(sorted(answer.get("Metadata", {}).items()))
        size = int(required(answer, "ContentLength"))
        return ObjectInfo(key, size, etag_of(answer), answer.get("ContentType"), metadata)

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        if not 0 <= start < stop:
            raise range_error()
        async for chunk in self._s3.body(self._s3.full_key(check_key(key)), start, stop):
            yield chunk

    async def delete(self, key: str) -> None:
        full_key = self._s3.full_key(check_key(key))
        answer = await self._s3.call("delete_object", Key=full_key)
        without_a_page(answer)
        if "VersionId" not in answer:
            return
        # The bucket keeps versions: only a mark was set, and the bytes are all still there.
        async for page in self._s3.pages("list_object_versions", Prefix=full_key):
            for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if version["Key"] == full_key:
                    version_id = version["VersionId"]
                    without_a_page(await self._s3.call("delete_object", Key=full_key, VersionId=version_id))

    async def hold_of(self, key: str) -> Hold:
        try:
            answer = await self._s3.call("head_object", Key=self._s3.full_key(check_key(key)))
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return Hold()
        etag_of(answer)  # or nobody knows whether there is a hold
        return Hold(
            until=answer.get("ObjectLockRetainUntilDate"),
            legal_hold=answer.get("ObjectLockLegalHoldStatus") == "ON",
        )

    @property
    def asked_encryption(self) -> Encryption:
        return Encryption(self._settings.encryption, self._settings.kms_key_id)

    async def encryption_of(self, key: str) -> Encryption:
        answer = await self._s3.call("head_object", Key=self._s3.full_key(check_key(key)))
        return Encryption(answer.get("ServerSideEncryption"), answer.get("SSEKMSKeyId"))

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        async for page in self._s3.pages("list_objects_v2", Prefix=self._s3.full_key(prefix)):
            for found in page.get("Contents", []):
                key = self._s3.relative_key(required(found, "Key"))
                yield ObjectInfo(key, int(required(found, "Size")), etag_of(found))

    async def server_time(self) -> datetime | None:
        return await self._s3.server_time()

    async def presign(self, key: str, terms: LinkTerms) -> str:
        if not self._gives_links:
            raise no_store_link("Links are signed with a secret key, which is not set.")
        wanted = {
            "Key": self._s3.full_key(check_key(key)),
            "ResponseContentDisposition": terms.content_disposition if terms.method == "GET" else None,
        }
        operation = "head_object" if terms.method == "HEAD" else "get_object"
        given = {name: value for name, value in wanted.items() if value is not None}
        return await self._s3.presign(operation, min(terms.lifetime_s, LINK_S_MAX), **given)

    async def close(self) -> None:
        await self._s3.close()

    def _fixed_properties(self, key: str) -> dict[str, Any]:
        """What a new object gets by the settings; what is soon removed is neither locked nor archived."""
        settings = self._settings
        wanted: dict[str, Any] = {
            "ServerSideEncryption": settings.encryption,
            "SSEKMSKeyId": settings.kms_key_id,
        }
        if not key.startswith(SIDE_PREFIX):
            wanted["Tagging"] = urlencode(settings.tags) or None
        if not key.startswith((SIDE_PREFIX, TEST_PREFIX)):
            wanted["StorageClass"] = settings.storage_class
            wanted |= self._lock()
        return {name: value for name, value in wanted.items() if value is not None}

    def _lock(self) -> dict[str, Any]:
        """What keeps a new object from being deleted."""
        settings = self._settings
        held = {"ObjectLockLegalHoldStatus": "ON"} if settings.legal_hold else {}
        if settings.object_lock_mode is None or settings.object_lock_days is None:
            return held
        until = datetime.now(UTC) + timedelta(days=settings.object_lock_days)
        return held | {"ObjectLockMode": settings.object_lock_mode, "ObjectLockRetainUntilDate": until}
