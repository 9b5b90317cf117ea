"""The contract of storage.store, run against every store."""

import random

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import PART_SIZE_BYTES_MIN
from storage.store import MultipartUpload, ObjectProperties, ObjectStore, Part

PROPERTIES = ObjectProperties("video/mp4", (("bystander-recording", "rec_1"),))
FIRST = random.Random(1).randbytes(PART_SIZE_BYTES_MIN)
SECOND = random.Random(2).randbytes(PART_SIZE_BYTES_MIN + 7)
LAST = b"the last part may be small"
WHOLE = FIRST + SECOND + LAST


async def read(store: ObjectStore, key: str, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, start, stop)])


async def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key async for info in store.list_objects(prefix)]


async def send(store: ObjectStore, upload: MultipartUpload, *numbers: int) -> list[Part]:
    bodies = {1: (0, FIRST), 2: (len(FIRST), SECOND), 3: (len(FIRST + SECOND), LAST)}
    return [await store.uploads.put_part(upload, number, *bodies[number]) for number in numbers]


async def test_objects_are_put_headed_read_listed_and_deleted(any_store: ObjectStore) -> None:
    store = any_store
    await store.check()
    info = await store.put("conv_1/call.mp4", b"0123456789", PROPERTIES)
    await store.put("conv_1/call.events.jsonl", b"", ObjectProperties("application/jsonl"))
    await store.put("conv_2/call.mp4", b"2", PROPERTIES)

    found = await store.head("conv_1/call.mp4")
    assert found == info
    assert (found.size, found.content_type, found.metadata) == (10, "video/mp4", PROPERTIES.metadata)
    assert await read(store, "conv_1/call.mp4", 0, 10) == b"0123456789"
    assert await read(store, "conv_1/call.mp4", 3, 4) == b"3"
    assert await keys(store) == ["conv_1/call.events.jsonl", "conv_1/call.mp4", "conv_2/call.mp4"]
    assert await keys(store, "conv_1/") == ["conv_1/call.events.jsonl", "conv_1/call.mp4"]

    await store.delete("conv_1/call.mp4")
    await store.delete("conv_1/call.mp4")
    assert await keys(store, "conv_1/") == ["conv_1/call.events.jsonl"]
    with pytest.raises(BystanderError) as caught:
        await store.head("conv_1/call.mp4")
    assert (caught.value.code, caught.value.status) == ("object_missing", 404)
    with pytest.raises(BystanderError) as caught:
        await read(store, "conv_1/call.mp4", 0, 1)
    assert caught.value.code == "object_missing"


async def test_an_object_put_again_is_replaced_and_has_another_tag(any_store: ObjectStore) -> None:
    first = await any_store.put("a", b"one", PROPERTIES)
    second = await any_store.put("a", b"two, longer", PROPERTIES)
    assert first.etag != second.etag
    assert await any_store.head("a") == second
    assert await read(any_store, "a", 0, second.size) == b"two, longer"


@pytest.mark.parametrize(("start", "stop"), [(10, 11), (0, 11), (5, 5), (-1, 3)])
async def test_bytes_that_are_not_there_cannot_be_read(any_store: ObjectStore, start: int, stop: int) -> None:
    await any_store.put("a", b"0123456789", PROPERTIES)
    with pytest.raises(BystanderError) as caught:
        await read(any_store, "a", start, stop)
    assert (caught.value.code, caught.value.status) == ("range_not_satisfiable", 416)


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/..", "a\n", ".bystander/x", "x" * 201])
async def test_keys_that_lead_elsewhere_are_refused(any_store: ObjectStore, key: str) -> None:
    for attempt in (any_store.put(key, b"", PROPERTIES), any_store.head(key), any_store.delete(key)):
        with pytest.raises(BystanderError) as caught:
            await attempt
        assert caught.value.code == "object_key_invalid"


async def test_keys_of_any_script_are_kept(any_store: ObjectStore) -> None:
    key = "Gespräch 1/通话 + émoji 🎥 & 100%.mp4"
    await any_store.put(key, b"x", PROPERTIES)
    assert await keys(any_store) == [key]
    assert (await any_store.head(key)).size == 1
    upload = await any_store.uploads.begin(key, PROPERTIES)
    assert [found.key async for found in any_store.uploads.list_uploads()] == [key]
    await any_store.uploads.abort(upload)


async def test_parts_in_any_order_become_one_object(any_store: ObjectStore) -> None:
    store, uploads = any_store, any_store.uploads
    upload = await uploads.begin("conv/call.mp4", PROPERTIES)
    second, last = await send(store, upload, 2, 3)
    assert [found.id async for found in uploads.list_uploads("conv/")] == [upload.id]
    assert await keys(store) == []
    (first,) = await send(store, upload, 1)
    listed = await uploads.list_parts(upload)
    assert [(part.number, part.size, part.etag) for part in listed] == [
        (part.number, part.size, part.etag) for part in (first, second, last)
    ]

    info = await uploads.complete(upload, [first, second, last])
    assert info.size == len(WHOLE)
    found = await store.head("conv/call.mp4")
    assert (found.size, found.content_type, found.metadata) == (
        len(WHOLE),
        "video/mp4",
        PROPERTIES.metadata,
    )
    assert await read(store, "conv/call.mp4", 0, len(WHOLE)) == WHOLE
    at = len(FIRST)
    assert await read(store, "conv/call.mp4", at - 5, at + 5) == WHOLE[at - 5 : at + 5]
    assert [found.id async for found in uploads.list_uploads()] == []


async def test_the_tag_of_a_completed_upload_is_as_expected_where_a_rule_is_known(
    any_store: ObjectStore,
) -> None:
    upload = await any_store.uploads.begin("call.mp4", PROPERTIES)
    parts = await send(any_store, upload, 1, 2, 3)
    info = await any_store.uploads.complete(upload, parts)
    expected = any_store.uploads.expected_etag(parts)
    assert expected is None or info.etag == expected


async def test_a_part_sent_again_is_replaced_or_refused(any_store: ObjectStore) -> None:
    upload = await any_store.uploads.begin("call.mp4", PROPERTIES)
    first, last = await send(any_store, upload, 1, 2)
    other = bytes(reversed(FIRST))
    try:
        first = await any_store.uploads.put_part(upload, 1, 0, other)
    except BystanderError as error:
        assert error.code == "part_refused"
        other = FIRST
    await any_store.uploads.complete(upload, [first, last])
    assert await read(any_store, "call.mp4", 0, len(FIRST)) == other


async def test_what_is_not_sent_cannot_be_completed(any_store: ObjectStore) -> None:
    upload = await any_store.uploads.begin("call.mp4", PROPERTIES)
    first, last = await send(any_store, upload, 1, 3)
    unsent = Part(number=2, offset=len(FIRST), size=len(SECOND), etag="0" * 32, md5="0" * 32)
    with pytest.raises(BystanderError) as caught:
        await any_store.uploads.complete(upload, [first, unsent, last])
    assert caught.value.code in ("part_refused", "store_failed")
    assert await keys(any_store) == []
    await any_store.uploads.abort(upload)


@pytest.mark.parametrize("ended", ["aborted", "completed"])
async def test_an_upload_that_is_over_is_missing(any_store: ObjectStore, ended: str) -> None:
    uploads = any_store.uploads
    upload = await uploads.begin("call.mp4", PROPERTIES)
    parts = [await uploads.put_part(upload, 1, 0, LAST)]
    if ended == "aborted":
        await uploads.abort(upload)
    else:
        await uploads.complete(upload, parts)
    await uploads.abort(upload)
    try:
        listed = [part.etag for part in await uploads.list_parts(upload)]
    except BystanderError as error:
        assert error.code == "upload_missing"
    else:  # a store may remember what it joined, and joins the same again
        assert (ended, listed) == ("completed", [part.etag for part in parts])
        assert (await uploads.complete(upload, parts)).size == len(LAST)
    assert [found.id async for found in uploads.list_uploads()] == []
    assert await keys(any_store) == ([] if ended == "aborted" else ["call.mp4"])
