"""Uploads in parts to Azure: blocks of a blob, staged under names that say whose they are, then committed.

Azure knows no uploads, only blocks that are not committed yet. So each upload is written down in a blob of
its own, `.bystander/uploads/<id>`, with what the blocks do not say: key and properties. Blocks of an upload
that is given up vanish by themselves after a week.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import msgspec
from azure.storage.blob import BlobBlock, ContentSettings

from recorder.kernel.errors import BystanderError
from storage.errors import OBJECT_MISSING, UPLOAD_MISSING, store_error
from storage.keys import RESERVED_SEGMENT, check_key
from storage.store import ListedPart, MultipartUpload, ObjectInfo, ObjectProperties, Part
from storage.stores.answers import required
from storage.stores.azure.connection import AzureConnection, azure_errors, etag_of

UPLOAD_MARK = "bystander_upload"  # metadata of a blob: which upload made it
_UPLOADS = f"{RESERVED_SEGMENT}/uploads/"


class _UploadFacts(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    properties: ObjectProperties
    started_at: datetime


class AzureUploads:
    """The multipart half of AzureStore."""

    joins_parts = True  # a blob is its blocks, one after the other
    tells_digests = False  # they are the blocks' names

    def __init__(self, connection: AzureConnection) -> None:
        self._azure = connection

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        facts = _UploadFacts(key=check_key(key), properties=properties, started_at=datetime.now(UTC))
        upload = MultipartUpload(key, uuid.uuid4().hex, facts.started_at)
        with azure_errors():
            answer = await self._azure.blob(_UPLOADS + upload.id).upload_blob(msgspec.json.encode(facts))
        etag_of(answer)
        return upload

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        name = _block(upload, number)
        with azure_errors():
            blob = self._azure.blob(upload.key)
            staging = blob.stage_block(name, data, length=len(data), validate_content=True)
            answer = await self._azure.send(staging)
        required(answer, "request_id")  # it has no tag, but this is in every answer of Azure's
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        return Part(number=number, offset=offset, size=len(data), etag=name, md5=md5)

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        await self._facts(upload.id)
        staged = await self._staged(upload)
        if not staged and await self._made_by(upload):
            raise store_error(UPLOAD_MISSING)  # it was completed; the crash came before the end of it
        return staged

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        facts = await self._facts(upload.id)
        metadata = {**metadata_for(facts.properties), UPLOAD_MARK: upload.id}
        blocks = [BlobBlock(block_id=_block(upload, part.number)) for part in parts]
        with azure_errors():
            answer = await self._azure.blob(upload.key).commit_block_list(
                blocks,
                metadata=metadata,
                content_settings=ContentSettings(content_type=facts.properties.content_type),
            )
        etag = etag_of(answer)
        await self.abort(upload)  # which only forgets that it was begun
        return ObjectInfo(upload.key, sum(part.size for part in parts), etag)

    async def abort(self, upload: MultipartUpload) -> None:
        try:
            with azure_errors():
                await self._azure.blob(_UPLOADS + upload.id).delete_blob()
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise

    async def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        pages = aiter(self._azure.container.list_blobs(name_starts_with=self._azure.full_key(_UPLOADS)))
        while True:
            with azure_errors():
                found = await anext(pages, None)
            if found is None:
                return
            identity = found.name.rpartition("/")[2]
            facts = await self._facts(identity)
            if facts.key.startswith(prefix):
                yield MultipartUpload(facts.key, identity, facts.started_at)

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        """A blob's tag says nothing of its contents."""
        return None

    async def _facts(self, identity: str) -> _UploadFacts:
        try:
            with azure_errors():
                stream = await self._azure.blob(_UPLOADS + identity).download_blob()
                data = await stream.readall()
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            raise store_error(UPLOAD_MISSING) from error
        with azure_errors():
            return msgspec.json.decode(data, type=_UploadFacts)

    async def _staged(self, upload: MultipartUpload) -> list[ListedPart]:
        try:
            with azure_errors():
                _, blocks = await self._azure.blob(upload.key).get_block_list("uncommitted")
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return []
        ours = [block for block in blocks if block.id.startswith(f"{upload.id}-")]
        return sorted(
            (ListedPart(_number(block.id), int(required(vars(block), "size")), block.id) for block in ours),
            key=lambda part: part.number,
        )

    async def _made_by(self, upload: MultipartUpload) -> bool:
        try:
            with azure_errors():
                found = await self._azure.blob(upload.key).get_blob_properties()
        except BystanderError as error:
            if error.code != OBJECT_MISSING:
                raise
            return False
        return (found.metadata or {}).get(UPLOAD_MARK) == upload.id


def metadata_for(properties: ObjectProperties) -> dict[str, str]:
    """As Azure takes it: names are identifiers of C#, without hyphens."""
    return {name.replace("-", "_"): value for name, value in properties.metadata}


def _number(block: str) -> int:
    with azure_errors():
        return int(block.rpartition("-")[2])


def _block(upload: MultipartUpload, number: int) -> str:
    """All of one length, as Azure wants them, and at most 64 bytes."""
    return f"{upload.id}-{number:05d}"
