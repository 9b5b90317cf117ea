"""Opening a store: what cannot be one is refused in a sentence, before anything is asked of it."""

import pytest

from recorder.kernel.errors import BystanderError
from storage.open_store import open_store
from storage.settings import StorageSettings


@pytest.mark.parametrize("key", ["endpoint", "sts_endpoint"])
@pytest.mark.parametrize(
    "endpoint", ["not a url", "minio:9000", "ftp://store", "http://", "http://host:port", "http://[::1", ""]
)
def test_an_endpoint_that_is_no_url_is_refused_with_its_key(key: str, endpoint: str) -> None:
    settings = StorageSettings(**{"url": "s3://bucket", key: endpoint})
    with pytest.raises(BystanderError) as refused:
        open_store(settings)
    assert refused.value.code == "storage_endpoint_invalid"
    assert f"storage.{key} is no URL" in refused.value.detail


def test_the_usual_ones_are_taken() -> None:
    for endpoint in ("https://s3.example.org", "http://127.0.0.1:9000", "http://[::1]:9000"):
        open_store(StorageSettings(url="memory:", endpoint=endpoint))
