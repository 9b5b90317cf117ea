"""Multipart uploads into a directory: parts go to their offsets in the file that becomes the object.

.bystander/uploads/<id>/facts.json    key and properties
.bystander/uploads/<id>/data          the object as far as it is; renamed at the end, never copied
.bystander/uploads/<id>/parts.jsonl   one line for each part, written after its bytes are durable
"""

import hashlib
import logging
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from storage.errors import PART_REFUSED, UPLOAD_MISSING, store_error
from storage.keys import check_key
from storage.spool.durable_files import remove_flat_directory, sync_directory, write_atomic, write_fully
from storage.store import ListedPart, MultipartUpload, ObjectInfo, ObjectProperties, Part
from storage.stores.local.files import LocalFiles, in_thread

_log = logging.getLogger(__name__)

_FACTS, _DATA, _PARTS = "facts.json", "data", "parts.jsonl"


class _UploadFacts(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    properties: ObjectProperties
    started_at: datetime


class LocalUploads:
    """The multipart half of LocalStore."""

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._directory = files.hidden / "uploads"

    @property
    def joins_parts(self) -> bool:
        return False

    @property
    def tells_digests(self) -> bool:
        return False  # they are ours, written down beside the bytes

    async def begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        return await in_thread(self._begin, check_key(key), properties)

    async def put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        return await in_thread(self._put_part, upload, number, offset, data)

    async def list_parts(self, upload: MultipartUpload) -> list[ListedPart]:
        logged = await in_thread(self._logged, self._of(upload))
        return [ListedPart(part.number, part.size, part.etag) for _, part in sorted(logged.items())]

    async def complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        return await in_thread(self._complete, upload, parts)

    async def abort(self, upload: MultipartUpload) -> None:
        await in_thread(self._remove, upload)

    async def list_uploads(self, prefix: str = "") -> AsyncIterator[MultipartUpload]:
        for upload in await in_thread(self._dangling):
            if upload.key.startswith(prefix):
                yield upload

    def expected_etag(self, parts: Sequence[Part]) -> str | None:
        """A file's tag says nothing of its contents."""
        return None

    def _of(self, upload: MultipartUpload) -> Path:
        if len(upload.id) != 32 or not upload.id.isalnum():
            raise store_error(UPLOAD_MISSING)
        return self._directory / upload.id

    def _begin(self, key: str, properties: ObjectProperties) -> MultipartUpload:
        self._files.check_mark()
        facts = _UploadFacts(key=key, properties=properties, started_at=datetime.now(UTC))
        upload = MultipartUpload(key, uuid.uuid4().hex, facts.started_at)
        directory = self._of(upload)
        directory.mkdir(parents=True)
        for name in (_DATA, _PARTS):
            (directory / name).touch(mode=0o640)
        write_atomic(directory / _FACTS, msgspec.json.encode(facts))
        sync_directory(self._directory)
        return upload

    def _put_part(self, upload: MultipartUpload, number: int, offset: int, data: bytes) -> Part:
        directory = self._of(upload)
        before = self._logged(directory).get(number)
        if before is not None and (before.offset, before.size) != (offset, len(data)):
            raise store_error(PART_REFUSED, "another place or size than before")
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        part = Part(number=number, offset=offset, size=len(data), etag=digest, md5=digest)
        _write_durable(directory / _DATA, data, offset)
        line = msgspec.json.encode(part) + b"\n"
        _write_durable(directory / _PARTS, line, (directory / _PARTS).stat().st_size)
        return part

    def _logged(self, directory: Path) -> dict[int, Part]:
        self._files.check_mark()
        try:
            lines = (directory / _PARTS).read_bytes().splitlines(keepends=True)
        except FileNotFoundError as error:
            raise store_error(UPLOAD_MISSING) from error
        decoder = msgspec.json.Decoder(Part)
        found = {}
        for line in lines:
            try:
                part = decoder.decode(line)
            except (msgspec.DecodeError, ValueError):
                continue  # torn by a crash, so never acknowledged
            found[part.number] = part
        return found

    def _complete(self, upload: MultipartUpload, parts: Sequence[Part]) -> ObjectInfo:
        directory = self._of(upload)
        logged = self._logged(directory)
        stop = 0
        for part in parts:
            if logged.get(part.number) != part or part.offset != stop:
                raise store_error(PART_REFUSED, f"part {part.number} is not as it was sent")
            stop += part.size
        data = directory / _DATA
        if not parts or not data.exists():
            raise store_error(UPLOAD_MISSING)
        os.truncate(data, stop)
        facts = _facts(directory)
        if facts is None:
            raise store_error(UPLOAD_MISSING, "what it was begun with cannot be read")
        info = self._files.publish(data, facts.key, facts.properties)
        self._remove(upload)
        return info

    def _remove(self, upload: MultipartUpload) -> None:
        remove_flat_directory(self._of(upload), last=_FACTS)

    def _dangling(self) -> list[MultipartUpload]:
        self._files.check_mark()
        found = []
        for path in sorted(self._directory.glob(f"*/{_FACTS}")):
            facts = _facts(path.parent)
            if facts is not None:
                found.append(MultipartUpload(facts.key, path.parent.name, facts.started_at))
        return found


def _facts(directory: Path) -> _UploadFacts | None:
    """What an upload was begun with; None where that is gone or damaged: it can only be begun anew."""
    try:
        return msgspec.json.decode((directory / _FACTS).read_bytes(), type=_UploadFacts)
    except (FileNotFoundError, msgspec.DecodeError, ValueError) as error:
        _log.warning("an upload of which nothing is known: %s (%s)", directory.name, type(error).__name__)
        return None


def _write_durable(path: Path, data: bytes, offset: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY)
    except FileNotFoundError as error:
        raise store_error(UPLOAD_MISSING) from error
    try:
        write_fully(fd, data, offset)
        os.fdatasync(fd)
    finally:
        os.close(fd)
