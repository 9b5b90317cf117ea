"""A Google service account's access to Cloud Storage: OAuth 2.0 tokens, and the headers that go with them.

Google's XML API takes the requests of S3 with `Authorization: Bearer` (RFC 6750) once `x-amz-*` is called
`x-goog-*`. Tokens are had for a JWT that the account's key signs (RFC 7523); google-auth does that.
"""

import asyncio
from pathlib import Path
from typing import Any

import urllib3
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.urllib3 import Request
from google.oauth2.service_account import Credentials

from recorder.kernel.errors import caller_error
from recorder.kernel.network.proxy import Proxy
from storage.errors import DENIED, UNREACHABLE, store_error

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_AMAZONS = "x-amz-"
_GOOGLES = "x-goog-"


class GoogleAccess:
    """Hooks for a client of S3's that make it one of Google's."""

    def __init__(self, key_file: Path, *, timeout_s: float, proxy: Proxy | None = None) -> None:
        """`key_file` is the JSON that Google made; storage_settings_invalid where it is not."""
        try:
            self._credentials = Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
                str(key_file), scopes=[SCOPE]
            )
        except (OSError, ValueError, GoogleAuthError) as error:
            raise caller_error(
                "storage_settings_invalid",
                f"storage.service_account_file is no service account's key: {type(error).__name__}.",
            ) from error
        self._request = Request(  # type: ignore[no-untyped-call]
            _pool(self._credentials, timeout_s, proxy)
        )
        self._renewing = asyncio.Lock()

    async def sign(self, request: Any, **_: Any) -> None:
        """Of "before-sign": rename the headers and add the token."""
        for name in [name for name in request.headers if name.lower().startswith(_AMAZONS)]:
            value = request.headers[name]
            del request.headers[name]
            request.headers[_GOOGLES + name[len(_AMAZONS) :]] = value
        request.headers["Authorization"] = f"Bearer {await self._token()}"

    def understand(self, response_dict: dict[str, Any], **_: Any) -> None:
        """Of "before-parse": an answer's headers as S3's client knows them."""
        headers = response_dict["headers"]
        for name in [name for name in headers if name.lower().startswith(_GOOGLES)]:
            headers.setdefault(_AMAZONS + name[len(_GOOGLES) :].lower(), headers[name])

    async def _token(self) -> str:
        """A token that lasts; minutes before the old one ends, a new one."""
        async with self._renewing:
            if not self._credentials.valid:
                try:
                    await asyncio.to_thread(self._credentials.refresh, self._request)
                except TransportError as error:
                    raise store_error(UNREACHABLE, "Google's tokens cannot be had") from error
                except GoogleAuthError as error:
                    raise store_error(DENIED, "Google gave no token") from error
            return str(self._credentials.token)


def _pool(credentials: Credentials, timeout_s: float, proxy: Proxy | None) -> urllib3.PoolManager:
    """Connections to where tokens are had, through the proxy where it carries them."""
    through = None if proxy is None else proxy.for_url(str(credentials._token_uri))
    if proxy is None or through is None:
        return urllib3.PoolManager(timeout=timeout_s, retries=False)
    headers = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else None
    return urllib3.ProxyManager(through, proxy_headers=headers, timeout=timeout_s, retries=False)
