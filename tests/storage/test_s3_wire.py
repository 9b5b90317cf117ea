"""What S3 is sent: the settings with a multipart upload, and the credentials of an assumed role."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from recorder.kernel.clock import SystemClock
from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from recorder.kernel.recording import EndReason
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.spool import SpoolWriter
from storage.store import ObjectProperties, ObjectStore
from storage.upload.uploader import Uploader
from tests.storage.conftest import RECORDING
from tests.storage.fragments import sequence
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ACCESS_KEY_ID, ServerProcess
from tests.support.wire import Sent, Wire, wire

PROPERTIES = ObjectProperties("video/mp4", (("bystander-recording", "rec_1"),))
ROLE = {
    "role_arn": "arn:aws:iam::123456789012:role/recorder",
    "external_id": "bank",
    "session_duration_s": 900,
}
LOCK_DAYS = 3


@pytest.fixture
async def proxy(moto_server: ServerProcess) -> AsyncIterator[Wire]:
    async with wire(moto_server.endpoint) as running:
        yield running


async def send_in_parts(store: ObjectStore) -> None:
    upload = await store.uploads.begin("call.mp4", PROPERTIES)
    first = await store.uploads.put_part(upload, 1, 0, bytes(PART_SIZE_BYTES_MIN))
    last = await store.uploads.put_part(upload, 2, PART_SIZE_BYTES_MIN, b"last")
    await store.uploads.complete(upload, [first, last])


@pytest.mark.parametrize("encryption", ["AES256", "aws:kms"])
async def test_an_upload_begins_with_all_that_the_settings_ask(proxy: Wire, encryption: str) -> None:
    """S3 takes lock, tags, class and encryption of an object in parts from the request that begins it."""
    key_id = "key-1" if encryption == "aws:kms" else None
    store = open_store(
        s3_settings(
            proxy.endpoint,
            prefix="wire",
            encryption=encryption,
            kms_key_id=key_id,
            storage_class="STANDARD_IA",
            tags={"team": "video desk"},
            object_lock_mode="COMPLIANCE",
            object_lock_days=LOCK_DAYS,
            legal_hold=True,
        )
    )
    await send_in_parts(store)
    await store.close()
    (begun,) = proxy.of("POST", "uploads")
    asked = {name.lower(): value for name, value in begun.headers.items()}
    until = datetime.fromisoformat(asked["x-amz-object-lock-retain-until-date"])
    assert abs(until - datetime.now(UTC) - timedelta(days=LOCK_DAYS)) < timedelta(minutes=1)
    assert asked["x-amz-object-lock-mode"] == "COMPLIANCE"
    assert asked["x-amz-object-lock-legal-hold"] == "ON"
    assert asked["x-amz-tagging"] == "team=video+desk"
    assert asked["x-amz-storage-class"] == "STANDARD_IA"
    assert asked["x-amz-server-side-encryption"] == encryption
    assert asked.get("x-amz-server-side-encryption-aws-kms-key-id") == key_id
    assert asked["x-amz-meta-bystander-recording"] == "rec_1"
    parts = proxy.of("PUT", "partNumber") + proxy.of("PUT", "uploadId")
    assert len(parts) == 2
    for part in parts:
        assert "Content-MD5" in part.headers  # S3 demands it of an object with a lock
        assert not any("lock" in name.lower() or "encryption" in name.lower() for name in part.headers)


def assumed(proxy: Wire) -> list[dict[str, list[str]]]:
    forms = [parse_qs(sent.body.decode()) for sent in proxy.sent if "/sts/" in sent.headers["Authorization"]]
    return [form for form in forms if form["Action"] == ["AssumeRole"]]


async def test_one_assumed_role_serves_many_requests(proxy: Wire) -> None:
    store = open_store(s3_settings(proxy.endpoint, prefix="role", sts_endpoint=proxy.endpoint, **ROLE))
    await send_in_parts(store)
    assert (await store.head("call.mp4")).size == PART_SIZE_BYTES_MIN + 4
    await store.close()
    (form,) = assumed(proxy)
    assert (form["RoleArn"], form["ExternalId"]) == ([ROLE["role_arn"]], ["bank"])
    assert form["DurationSeconds"] == ["900"]
    to_s3 = [sent for sent in proxy.sent if "/s3/" in sent.headers["Authorization"]]
    assert all("X-Amz-Security-Token" in sent.headers for sent in to_s3)
    assert not any(f"Credential={ACCESS_KEY_ID}/" in sent.headers["Authorization"] for sent in to_s3)


async def test_credentials_that_end_are_renewed_in_mid_upload(proxy: Wire) -> None:
    """The first session ends with the upload's first part; the store refuses whoever still comes with it."""
    ended: list[str] = []

    def end_soon(sent: Sent, body: bytes) -> bytes:
        if b"<AssumeRoleResponse" not in body or len(assumed(proxy)) > 1:
            return body
        soon = (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        return re.sub(rb"<Expiration>[^<]*", b"<Expiration>" + soon, body)

    def refuse_ended(sent: Sent) -> web.Response | None:
        if sent.headers.get("X-Amz-Security-Token") not in ended:
            return None
        return web.Response(status=400, text="<Error><Code>ExpiredToken</Code></Error>")

    proxy.change, proxy.refuse = end_soon, refuse_ended
    store = open_store(s3_settings(proxy.endpoint, prefix="renewed", sts_endpoint=proxy.endpoint, **ROLE))
    upload = await store.uploads.begin("call.mp4", PROPERTIES)
    ended += [sent.headers["X-Amz-Security-Token"] for sent in proxy.of("POST", "uploads")]
    first = await store.uploads.put_part(upload, 1, 0, bytes(PART_SIZE_BYTES_MIN))
    last = await store.uploads.put_part(upload, 2, PART_SIZE_BYTES_MIN, b"last")
    await store.uploads.complete(upload, [first, last])
    await store.close()
    assert len(ended) == 1
    assert len(assumed(proxy)) == 2


async def test_a_success_that_says_nothing_is_asked_after(
    proxy: Wire, root: Path, create: Callable[..., SpoolWriter]
) -> None:
    """A gateway's page in place of a part's answer, then an empty one to the completion; each with 200."""
    pages = {"partNumber": "<html>Welcome</html>", "uploadId": ""}
    answered: list[str] = []

    def answer(sent: Sent) -> web.Response | None:
        query = sent.path.partition("?")[2]
        name = "partNumber" if "partNumber=" in query else query.partition("=")[0]
        if sent.method not in ("PUT", "POST") or name not in pages:
            return None
        answered.append(name)
        return web.Response(text=pages.pop(name), content_type="text/html")

    proxy.refuse = answer
    writer = create()
    fragments = sequence(*[2 * PART_SIZE_BYTES_MIN // 3] * 3)
    for fragment in fragments:
        writer.append(fragment)
    writer.end(EndReason.NORMAL, None, 1)
    writer.close()
    store = open_store(s3_settings(proxy.endpoint, prefix="silent"))
    settings = StorageSettings(part_size_bytes=PART_SIZE_BYTES_MIN, retry_delay_initial_s=0.001)
    uploader = Uploader(store, root, SystemClock(), settings)
    async with asyncio.timeout(30):
        stored = await uploader.finish(RECORDING)
    await uploader.close()
    assert answered == ["partNumber", "uploadId"]
    data = b"".join([chunk async for chunk in store.read(stored.key, 0, stored.size)])
    assert data == b"".join(fragment.data for fragment in fragments)
    assert [upload async for upload in store.uploads.list_uploads()] == []
    await store.close()
