"""What the settings ask of S3 arrives there, and nothing secret is shown."""

import boto3
import msgspec
import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings
from storage.store import SIDE_PREFIX, ObjectProperties, ObjectStore
from storage.stores.encryption import check_encrypted
from tests.storage.stores import s3_settings
from tests.support.s3_servers import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, ServerProcess

PROPERTIES = ObjectProperties("video/mp4")


async def put_both_ways(store: ObjectStore) -> list[str]:
    await store.put("whole", b"x", PROPERTIES)
    upload = await store.uploads.begin("parts", PROPERTIES)
    await store.uploads.complete(upload, [await store.uploads.put_part(upload, 1, 0, b"x")])
    await store.close()
    return ["whole", "parts"]


async def test_encryption_class_and_tags_go_with_every_object(moto_server: ServerProcess) -> None:
    settings = s3_settings(
        moto_server.endpoint,
        prefix="asked",
        encryption="aws:kms",
        kms_key_id="key-1",
        storage_class="STANDARD_IA",
        tags={"team": "video desk", "keep": "7y"},
    )
    client = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1").client(
        "s3", endpoint_url=moto_server.endpoint
    )
    for key in await put_both_ways(open_store(settings)):
        found = client.head_object(Bucket=BUCKET, Key=f"asked/{key}")
        assert (found["ServerSideEncryption"], found["StorageClass"]) == ("aws:kms", "STANDARD_IA")
        assert found["SSEKMSKeyId"].endswith("key-1")
        tags = client.get_object_tagging(Bucket=BUCKET, Key=f"asked/{key}")["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == settings.tags


async def test_object_lock_goes_with_an_object(moto_server: ServerProcess) -> None:
    client = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1").client(
        "s3", endpoint_url=moto_server.endpoint
    )
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    settings = s3_settings(
        moto_server.endpoint,
        url="s3://locked",
        object_lock_mode="GOVERNANCE",
        object_lock_days=3,
        legal_hold=True,
    )
    key, _in_parts = await put_both_ways(open_store(settings))  # moto drops the lock of a multipart upload
    found = client.head_object(Bucket="locked", Key=key)
    assert (found["ObjectLockMode"], found["ObjectLockLegalHoldStatus"]) == ("GOVERNANCE", "ON")
    assert found["ObjectLockRetainUntilDate"] > found["LastModified"]


async def test_what_lies_beside_uploads_is_not_locked(moto_server: ServerProcess) -> None:
    """It could not be removed, or, of some storage classes, not be read."""
    client = boto3.Session(ACCESS_KEY_ID, SECRET_ACCESS_KEY, region_name="us-east-1").client(
        "s3", endpoint_url=moto_server.endpoint
    )
    client.create_bucket(Bucket="locked-too", ObjectLockEnabledForBucket=True)
    settings = s3_settings(
        moto_server.endpoint,
        url="s3://locked-too",
        object_lock_mode="COMPLIANCE",
        object_lock_days=3,
        storage_class="GLACIER",
        encryption="AES256",
    )
    store = open_store(settings)
    key = f"{SIDE_PREFIX}uploads/rec_1/tail"
    await store.put(key, b"1", PROPERTIES)
    found = client.head_object(Bucket="locked-too", Key=key)
    assert "ObjectLockMode" not in found
    assert "StorageClass" not in found
    assert found["ServerSideEncryption"] == "AES256"
    await store.close()


async def test_a_role_is_assumed(moto_server: ServerProcess) -> None:
    settings = s3_settings(
        moto_server.endpoint,
        prefix="role",
        role_arn="arn:aws:iam::123456789012:role/recorder",
        external_id="bank",
        sts_endpoint=moto_server.endpoint,
    )
    store = open_store(settings)
    await store.put("a", b"1", PROPERTIES)
    assert (await store.head("a")).size == 1
    await store.close()


async def test_no_credentials_at_all_are_denied(
    moto_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    settings = s3_settings(moto_server.endpoint, access_key_id=None, secret_access_key=None)
    store = open_store(settings)
    with pytest.raises(BystanderError) as caught:
        await store.check()
    assert caught.value.code == "store_denied"
    await store.close()


def test_credentials_are_not_shown() -> None:
    shown = repr(s3_settings("http://127.0.0.1", session_token="token-of-mine"))
    assert SECRET_ACCESS_KEY not in shown.replace(repr(ACCESS_KEY_ID), "")
    assert "token-of-mine" not in shown
    assert BUCKET in shown


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("s3://", "names no bucket: it should look like s3://bucket/prefix"),
        ("gs:///prefix", "names no bucket"),
        ("http://host/bucket", "begins with none of s3://"),
    ],
)
def test_urls_of_no_store_are_refused(url: str, wrong: str) -> None:
    with pytest.raises(BystanderError, match=wrong) as caught:
        open_store(StorageSettings(url=url))
    assert caught.value.code == "storage_url_invalid"


@pytest.mark.parametrize(
    "wrong", [{"part_size_bytes": 5 * 1024 * 1024 - 1}, {"colour": 1}, {"read_timeout_s": 0}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, StorageSettings)


async def test_a_store_is_asked_whether_it_encrypts(moto_server: ServerProcess) -> None:
    asked = s3_settings(moto_server.endpoint, prefix="sse", encryption="AES256")
    store, plain = open_store(asked), open_store(msgspec.structs.replace(asked, encryption=None))
    await plain.put("plain", b"1", PROPERTIES)
    await store.put("kept", b"1", PROPERTIES)
    await check_encrypted(store, ("kept",))
    with pytest.raises(BystanderError, match="store_failed"):
        await check_encrypted(store, ("kept", "plain"))
    for one in (store, plain):
        await one.close()
