"""One container and prefix of Azure Blob Storage as an object store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from azure.storage.blob import BlobSasPermissions, ContentSettings, generate_blob_sas

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from storage.errors import FAILED, OBJECT_MISSING, range_error, store_error
from storage.keys import RESERVED_SEGMENT, check_key
from storage.settings import StorageSettings
from storage.store import ObjectInfo, ObjectProperties
from storage.stores.answers import required
from storage.stores.azure.connection import AzureConnection, azure_errors, etag_of
from storage.stores.azure.uploads import UPLOAD_MARK, AzureUploads, metadata_for
from storage.stores.object_lock import Hold
from storage.stores.presigned_links import LINK_S_MAX, LinkTerms, no_store_link


class AzureStore:
    """An ObjectStore over block blobs."""

    def __init__(
        self, settings: StorageSettings, *, container: str, prefix: str, proxy: Proxy | None = None
    ) -> None:
        self._azure = AzureConnection(settings, container=container, prefix=prefix, proxy=proxy)
        self._uploads = AzureUploads(self._azure)
        self._name = f"azure://{container}/{prefix}"

    def __repr__(self) -> str:
        return f"AzureStore({self._name})"

    @property
    def uploads(self) -> AzureUploads:
        return self._uploads

    @property
    def adoption(self) -> None:
        """There is no file system here."""

    async def check(self) -> None:
        with azure_errors():
            await self._azure.container.get_container_properties()

    async def put(self, key: str, data: bytes, properties: ObjectProperties) -> ObjectInfo:
        blob = self._azure.blob(check_key(key))
        with azure_errors():
            sending = blob.upload_blob(
                data,
                length=len(data),
                overwrite=True,
                metadata=metadata_for(properties),
                content_settings=ContentSettings(content_type=properties.content_type),
                validate_content=True,
            )
            answer = await self._azure.send(sending)
        return ObjectInfo(key, len(data), etag_of(answer), properties.content_type, properties.metadata)

    async def head(self, key: str) -> ObjectInfo:
        with azure_errors():
            found = await self._azure.blob(check_key(key)).get_blob_properties()
        metadata = tuple(
            sorted(
                (name.lower().replace("_", "-"), value)
                for name, value in (found.metadata or {}).items()
                if name.lower() != UPLOAD_MARK
            )
        )
        content_type = found.content_settings.content_type
        return ObjectInfo(key, int(required(found, "size")), etag_of(found), content_type, metadata)

    async def read(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        if not 0 <= start < stop:
            raise range_error()
        with azure_errors():
            stream = await self._azure.blob(check_key(key)).download_blob(offset=start, length=stop - start)
            if stream.size != stop - start:  # it ends before `stop`
                raise range_error()
            chunks = aiter(stream.chunks())
        wanted = stop - start
        while wanted > 0:
            with azure_errors():
                chunk = await anext(chunks, b"")
            if not chunk or len(chunk) > wanted:
                raise store_error(FAILED, "another length is read than was asked for")
            wanted -= len(chunk)
            yield chunk

    async def delete(self, key: str) -> None:
        blob = self._azure.blob(check_key(key))
        try:
            with azure_errors():
                await blob.delete_blob(delete_snapshots="include")
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise

    async def hold_of(self, key: str) -> Hold:
        try:
            with azure_errors():
                found = await self._azure.blob(check_key(key)).get_blob_properties()
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return Hold()
        etag_of(found)  # or nobody knows whether there is a hold
        policy = found.immutability_policy
        return Hold(until=policy.expiry_time if policy else None, legal_hold=bool(found.has_legal_hold))

    async def list_objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        pages = aiter(self._azure.container.list_blobs(name_starts_with=self._azure.full_key(prefix)))
        while True:
            with azure_errors():
                found = await anext(pages, None)
            if found is None:
                return
            key = self._azure.relative_key(found.name)
            if key.partition("/")[0] != RESERVED_SEGMENT:
                yield ObjectInfo(key, int(required(found, "size")), etag_of(found))

    async def presign(self, key: str, terms: LinkTerms) -> str:
        azure = self._azure
        if azure.account_key is None:
            raise no_store_link("Links are signed with the account's key, which is not set.")
        lifetime = timedelta(seconds=min(terms.lifetime_s, LINK_S_MAX))
        signature = generate_blob_sas(
            azure.account,
            azure.name,
            azure.full_key(check_key(key)),
            account_key=azure.account_key,
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(UTC) + lifetime,
            content_disposition=terms.content_disposition,
        )
        return f"{azure.blob(key).url}?{signature}"

    async def server_time(self) -> datetime | None:
        told: list[str] = []

        def note(response: Any) -> None:
            told.append(response.http_response.headers.get("Date", ""))

        try:
            with azure_errors():
                await self._azure.container.get_container_properties(raw_response_hook=note)
        except BystanderError:
            if not told:
                raise
        with azure_errors():
            return parsedate_to_datetime(told[0]) if told and told[0] else None

    async def close(self) -> None:
        await self._azure.close()
