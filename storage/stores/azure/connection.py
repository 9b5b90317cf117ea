"""The connection to Azure Blob Storage; only the files of the Azure store know its library."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobClient, ContainerClient

from recorder.kernel.errors import BystanderError, caller_error
from recorder.kernel.limits import MIB
from recorder.kernel.network.proxy import Proxy
from storage.errors import (
    BUCKET_MISSING,
    CORRUPTED,
    DENIED,
    FAILED,
    FULL,
    LOCKED,
    OBJECT_MISSING,
    PART_REFUSED,
    THROTTLED,
    UNREACHABLE,
    range_error,
    store_error,
)
from storage.settings import StorageSettings
from storage.stores.answers import required, unreadable
from storage.stores.outgoing import OutgoingSockets

READ_REQUEST_BYTES = 1 * MIB  # the library holds one answer in memory; each is a request, and is paid
BODY_TIMEOUT_S_MAX = 24 * 3600  # the library's own limit, past every deadline that a body has

_BY_CODE = {
    "ContainerNotFound": BUCKET_MISSING,
    "ContainerBeingDeleted": BUCKET_MISSING,
    "ContainerDisabled": BUCKET_MISSING,
    "BlobNotFound": OBJECT_MISSING,
    "ResourceNotFound": OBJECT_MISSING,
    "InvalidBlockList": PART_REFUSED,
    "InvalidBlockId": PART_REFUSED,
    "InvalidBlobOrBlock": PART_REFUSED,
    "Md5Mismatch": CORRUPTED,
    "Crc64Mismatch": CORRUPTED,
    "ServerBusy": THROTTLED,
    "OperationTimedOut": UNREACHABLE,
    "BlobImmutableDueToPolicy": LOCKED,
    "InsufficientAccountPermissions": DENIED,
}
_BY_STATUS = {401: DENIED, 403: DENIED, 404: OBJECT_MISSING, 429: THROTTLED, 503: THROTTLED, 507: FULL}


@contextmanager
def azure_errors() -> Iterator[None]:
    """Let nothing of the library's out."""
    try:
        yield
    except ClientAuthenticationError as error:
        raise store_error(DENIED, _code(error) or "authentication") from error
    except HttpResponseError as error:
        raise _answered(error) from error
    except (ServiceRequestError, ServiceResponseError, TimeoutError, OSError) as error:
        raise store_error(UNREACHABLE, type(error).__name__) from error
    except AzureError as error:
        raise store_error(FAILED, type(error).__name__) from error
    except BystanderError:
        raise
    except Exception as error:  # the library reads dates, lengths and texts as they come
        raise unreadable(error) from error


def _answered(error: HttpResponseError) -> BystanderError:
    code, status = _code(error), error.status_code or 0
    if status == 416 or code == "InvalidRange":
        return range_error()
    known = _BY_CODE.get(code) or _BY_STATUS.get(status) or FAILED
    return store_error(known, f"{code or 'nothing'} ({status})")


def _code(error: HttpResponseError) -> str:
    code = getattr(error, "error_code", None)
    return str(getattr(code, "value", code) or "")


class AzureConnection:
    """One container and prefix, and the one long-lived client for it."""

    def __init__(
        self, settings: StorageSettings, *, container: str, prefix: str, proxy: Proxy | None = None
    ) -> None:
        if settings.access_key_id is None:
            raise _incomplete("storage.access_key_id, the account's name")
        self.account = settings.access_key_id
        self.account_key = settings.secret_access_key
        self.name = container
        self._prefix = f"{prefix}/" if prefix else ""
        self._url = settings.endpoint or f"https://{self.account}.blob.core.windows.net"
        self._settings = settings
        through = None if proxy is None else proxy.for_url(self._url)
        self._proxies = {} if through is None else {"http": through, "https": through}
        self._client: ContainerClient | None = None
        self._sockets = OutgoingSockets()

    def full_key(self, key: str) -> str:
        """The key in the container."""
        return self._prefix + key

    def relative_key(self, full_key: str) -> str:
        """The key in the store."""
        return full_key.removeprefix(self._prefix)

    @property
    def container(self) -> ContainerClient:
        """The client; it connects with the first request."""
        if self._client is None:
            connector = aiohttp.TCPConnector(socket_factory=self._sockets.socket_of)
            self._client = ContainerClient(
                self._url,
                self.name,
                credential=self._credential(),
                retry_total=0,  # storage.upload.recording_upload retries, and knows what it may
                connection_timeout=self._settings.connect_timeout_s,
                read_timeout=BODY_TIMEOUT_S_MAX,
                max_single_get_size=READ_REQUEST_BYTES,
                max_chunk_get_size=READ_REQUEST_BYTES,
                proxies=self._proxies,
                transport=AioHttpTransport(session=aiohttp.ClientSession(connector=connector)),
            )
        return self._client

    async def send(self, request: Awaitable[Any]) -> Any:
        """A request with a body, which may take any time, as long as it gets on."""
        return await self._sockets.carry(request, self._settings.read_timeout_s)

    def blob(self, key: str) -> BlobClient:
        """The client of one object."""
        return self.container.get_blob_client(self.full_key(key))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _credential(self) -> Any:
        if self._settings.session_token is not None:
            return AzureSasCredential(self._settings.session_token)
        if self.account_key is None:
            raise _incomplete("storage.secret_access_key, the account's key, or session_token, a SAS")
        return AzureNamedKeyCredential(self.account, self.account_key)


def etag_of(answer: Any) -> str:
    """The tag of an answer, without the quotes that HTTP puts around it."""
    return str(required(answer, "etag")).strip('"')


def _incomplete(missing: str) -> BystanderError:
    return caller_error("storage_settings_invalid", f"An azure:// store needs {missing}.")
