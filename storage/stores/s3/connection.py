"""The connection to S3, and to the many stores that speak like it: the only file that knows aioboto3."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import aioboto3
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from storage.errors import FAILED, range_error, store_error
from storage.settings import StorageSettings
from storage.store import READ_CHUNK_BYTES
from storage.stores.answers import required
from storage.stores.outgoing import OutgoingSockets
from storage.stores.s3.credentials import role_session
from storage.stores.s3.errors import is_unreadable, s3_errors

BODY_TIMEOUT_S_MAX = 24 * 3600  # the client's own limit, past every deadline that a call has
CONNECTIONS_BESIDE_PARTS = 16  # readers, and small requests

# Swift sends a body with its refusals of a HEAD, which RFC 9110 (9.3.2) forbids and our client cannot read:
# who wants to know why asks again with a GET.
DEFAULT_REGION = "us-east-1"  # where nothing names one
_WITH_A_BODY: dict[str, tuple[str, dict[str, Any]]] = {
    "head_object": ("get_object", {"Range": "bytes=0-0"}),
    "head_bucket": ("list_objects_v2", {"MaxKeys": 1}),
}


# What a page of a listing says even when it lists nothing; each server leaves out some of them.
_OF_A_PAGE = {"IsTruncated", "Name", "Bucket"}


class Access(Protocol):
    """Another way in than signatures by a secret key: what happens to requests and to answers."""

    async def sign(self, request: Any, **_: Any) -> None: ...

    def understand(self, response_dict: dict[str, Any], **_: Any) -> None: ...


class Body(io.BytesIO):
    """What is sent. It shares the bytes, and is read piece by piece."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.length = len(data)


class S3Connection:
    """One bucket and prefix, and the one long-lived client for it, opened by the first request."""

    def __init__(
        self,
        settings: StorageSettings,
        *,
        bucket: str,
        prefix: str,
        access: Access | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self._settings = settings
        self._proxy = proxy
        self._access = access
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._client: Any = None
        self._sockets = OutgoingSockets()

    def full_key(self, key: str) -> str:
        """The key in the bucket."""
        return self._prefix + key

    def relative_key(self, full_key: str) -> str:
        """The key in the store."""
        return full_key.removeprefix(self._prefix)

    def digest(self, md5: bytes) -> dict[str, str]:
        """What lets the store compare what arrived with what was sent."""
        if self._settings.checksums == "none":
            return {}
        return {"ContentMD5": base64.b64encode(md5).decode()}  # RFC 1864

    async def call(
        self, operation: str, /, *, body: "Body | None" = None, **parameters: Any
    ) -> dict[str, Any]:
        """One request. A body may take any time, as long as it gets on."""
        if body is not None:
            parameters |= {"Body": body, "ContentLength": body.length}
        quiet_s = self._settings.read_timeout_s
        try:
            with s3_errors(operation):
                client = await self._open()
                request = getattr(client, operation)(Bucket=self._bucket, **parameters)
                if body is not None:
                    return dict(await self._sockets.carry(request, quiet_s))
                async with asyncio.timeout(quiet_s):
                    answer: dict[str, Any] = await request
        except BystanderError as error:
            if operation not in _WITH_A_BODY or not is_unreadable(error):
                raise
            other, limits = _WITH_A_BODY[operation]
            await self.call(other, **parameters, **limits)  # raises what the store refused
            raise
        return answer

    async def presign(self, operation: str, lifetime_s: int, /, **parameters: Any) -> str:
        """The URL of a request that anybody may then make, for so long."""
        with s3_errors(operation):
            client = await self._open()
            url: str = await client.generate_presigned_url(
                operation, Params={"Bucket": self._bucket, **parameters}, ExpiresIn=lifetime_s
            )
        return url

    async def server_time(self) -> datetime | None:
        """The Date of an answer (RFC 9110, 6.6.1), whatever else the answer says."""
        with s3_errors("list_objects_v2"):  # by a GET: see _WITH_A_BODY
            client = await self._open()
            try:
                async with asyncio.timeout(self._settings.read_timeout_s):
                    answer = await client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)
            except ClientError as error:
                answer = error.response
            date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
            return None if date is None else parsedate_to_datetime(date)

    async def pages(self, operation: str, **parameters: Any) -> AsyncIterator[dict[str, Any]]:
        """Every page of a listing."""
        with s3_errors(operation):
            client = await self._open()
            pages = aiter(client.get_paginator(operation).paginate(Bucket=self._bucket, **parameters))
            while True:
                async with asyncio.timeout(self._settings.read_timeout_s):
                    page = await anext(pages, None)
                if page is None:
                    return
                if not page.keys() & _OF_A_PAGE:
                    raise store_error(FAILED, "a listing that does not say of what")
                yield page

    async def body(self, key: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes [start, stop) of an object, in chunks."""
        answer = await self.call("get_object", Key=key, Range=f"bytes={start}-{stop - 1}")
        wanted = stop - start
        with s3_errors("get_object"):
            async with answer["Body"] as stream:
                required(answer, "ContentRange")  # which every answer to a range has (RFC 9110, 15.3.7)
                if required(answer, "ContentLength") != wanted:
                    raise range_error()
                while wanted > 0:
                    async with asyncio.timeout(self._settings.read_timeout_s):
                        chunk = await stream.content.read(min(wanted, READ_CHUNK_BYTES))
                    if not chunk:
                        raise store_error(FAILED, "the body broke off")
                    wanted -= len(chunk)
                    yield chunk

    async def close(self) -> None:
        async with self._opening:
            self._client = None
            await self._stack.aclose()

    async def _open(self) -> Any:
        async with self._opening:
            if self._client is None:
                client = await self._stack.enter_async_context(self._new_client())
                if self._proxies("s3"):
                    client.meta.events.register_last("before-call.s3", _send_at_once)
                if self._access is not None:
                    client.meta.events.register("before-sign.s3", self._access.sign)
                    client.meta.events.register("before-parse.s3", self._access.understand)
                self._client = client
            return self._client

    def _new_client(self) -> Any:
        settings = self._settings
        session = aioboto3.Session(
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            aws_session_token=settings.session_token,
            region_name=settings.region,
        )
        if settings.role_arn is not None:
            assumed = role_session(
                session._session, settings, settings.sts_endpoint, Config(proxies=self._proxies("sts"))
            )
            session = aioboto3.Session(botocore_session=assumed, region_name=settings.region)
        path_style = settings.endpoint is not None if settings.path_style is None else settings.path_style
        config = AioConfig(
            http_session_cls=_session_on(self._sockets),
            connect_timeout=settings.connect_timeout_s,
            read_timeout=BODY_TIMEOUT_S_MAX,
            retries={"total_max_attempts": 1},  # who uploads retries, and knows what it may
            max_pool_connections=settings.parts_in_flight_max + CONNECTIONS_BESIDE_PARTS,
            request_checksum_calculation="when_required",  # what newer SDKs add breaks compatible stores
            response_checksum_validation="when_required",
            s3={"addressing_style": "path" if path_style else "auto"},
            # s3v4, or presigned links would be signed as in 2006, which regions refuse
            signature_version="s3v4" if self._access is None else UNSIGNED,
            user_agent_extra="bystander",
            proxies=self._proxies("s3"),
        )
        return session.client("s3", endpoint_url=settings.endpoint, config=config)

    def _proxies(self, service: str) -> dict[str, str] | None:
        """As the library takes them by scheme; None leaves it to the environment."""
        settings = self._settings
        endpoint = settings.sts_endpoint if service == "sts" else settings.endpoint
        url = endpoint or f"https://{service}.{settings.region or DEFAULT_REGION}.amazonaws.com"
        if self._proxy is None:
            return None
        proxy = self._proxy.for_url(url)
        return {} if proxy is None else {"http": proxy, "https": proxy}


def _session_on(sockets: OutgoingSockets) -> type[AIOHTTPSession]:
    """The library's HTTP client, on sockets that we know of."""

    class Session(AIOHTTPSession):  # type: ignore[misc]  # it has no types
        def __init__(self, *given: Any, connector_args: dict[str, Any] | None = None, **named: Any) -> None:
            own = {**(connector_args or {}), "socket_factory": sockets.socket_of}
            super().__init__(*given, connector_args=own, **named)

    return Session


def etag_of(answer: dict[str, Any]) -> str:
    """The ETag of an answer, without the quotes that HTTP puts around it."""
    return str(required(answer, "ETag")).strip('"')


def without_a_page(answer: dict[str, Any]) -> None:
    """Nothing, for a deletion: what comes with a body is a gateway's page, and nothing was deleted."""
    if answer["ResponseMetadata"].get("HTTPHeaders", {}).get("content-length", "0") != "0":
        raise store_error(FAILED, "a page in answer to a deletion")


def _send_at_once(params: dict[str, Any], **_: Any) -> None:
    """Of "before-call": ask no proxy whether a body may be sent; some never answer (RFC 9110 10.1.1)."""
    params["headers"].pop("Expect", None)
