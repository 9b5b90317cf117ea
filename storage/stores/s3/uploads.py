"""Multipart uploads to S3."""

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from recorder.kernel.errors import BystanderError
from storage.errors import UPLOAD_MISSING
from storage.store import ListedPart, MultipartUpload, ObjectInfo, ObjectProperties, Part
from storage.stores.answers import required
from storage.stores.s3.connection import Body, S3Connection, etag_of, without_a_page


class S3Uploads:
    """The multipart half of S3Store."""

    def __init__(self, connection: S3Connection, properties: Callable[[str], dict[str, Any]]) -> None:
        """`properties` says what a new object of this key gets besides: encryption, class, lock, tags."""
        self._s3 = connection
        self._properties = properties

    @property
    def joins_parts(self) -> bool:
        return True

    @property
    def tells_digests(self) -> bool:
        return True  # as S3 does, unless it encrypts with keys of its own

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        answer = await self._s3.call(
            "create_multipart_upload",
            Key=self._s3.full_key(key),
            ContentType=properties.content_type,
            Metadata=dict(properties.metadata),
            **self._properties(key),
        )
        return MultipartUpload(key, required(answer, "UploadId"))

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        digest = hashlib.md5(data, usedforsecurity=False)
        answer = await self._s3.call(
            "upload_part",
            body=Body(data),
            PartNumber=number,
            **self._s3.digest(digest.digest()),
            **self._of(upload),
        )
        md5, etag = digest.hexdigest(), etag_of(answer)
        return Part(number=number, offset=offset, size=len(data), etag=etag, md5=md5)

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        found = []
        async for page in self._s3.pages("list_parts", **self._of(upload)):
            found += [
                ListedPart(int(required(part, "PartNumber")), int(required(part, "Size")), etag_of(part))
                for part in page.get("Parts", [])
            ]
        return found

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        listed = [{"PartNumber": part.number, "ETag": f'"{part.etag}"'} for part in parts]
        answer = await self._s3.call(
            "complete_multipart_upload", MultipartUpload={"Parts": listed}, **self._of(upload)
        )
        return ObjectInfo(upload.key, sum(part.size for part in parts), etag_of(answer))

    async def abort(self, upload: MultipartUpload) -> None:
        try:
            without_a_page(await self._s3.call("abort_multipart_upload", **self._of(upload)))
        except BystanderError as error:
            if error.code != UPLOAD_MISSING:
                raise

    async def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        pages = self._s3.pages("list_multipart_uploads", Prefix=self._s3.full_key(prefix))
        try:
            async for page in pages:
                for found in page.get("Uploads", []):
                    key = self._s3.relative_key(required(found, "Key"))
                    yield MultipartUpload(key, required(found, "UploadId"), found.get("Initiated"))
        except BystanderError as error:
            if error.code != UPLOAD_MISSING:  # rclone's way to say that there are none
                raise

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        """The MD5 of the parts' MD5s, where all of these are known."""
        if not all(part.md5 for part in parts):
            return None
        digests = b"".join(bytes.fromhex(part.md5) for part in parts)
        return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"

    def _of(self, upload: MultipartUpload) -> dict[str, Any]:
        return {"Key": self._s3.full_key(upload.key), "UploadId": upload.id}
