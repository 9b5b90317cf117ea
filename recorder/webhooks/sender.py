"""One event, posted to one address: no redirects, no private networks, no waiting without end."""

import errno
import socket
import time
from types import TracebackType
from typing import Any

import aiohttp
import msgspec

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.addresses import is_public
from recorder.kernel.network.proxy import Proxy
from recorder.webhooks.networks import check_target

ANSWER_BYTES_MAX = 4096  # enough to use the connection again; what a receiver says is of no interest
CONNECTIONS_IDLE_S_MAX = 15.0


class DeliveryOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt: `failure` is a stable code, None when the receiver took the event."""

    status: int | None = None
    failure: str | None = None
    seconds: float = 0.0


class Sender:
    """An async context. Posts to public addresses only, unless `allow_private`."""

    def __init__(
        self, *, allow_private: bool, timeout_s: float, connections_max: int, proxy: Proxy | None = None
    ) -> None:
        self._allow_private = allow_private
        self._proxy = proxy
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._connections_max = connections_max
        self._straight: aiohttp.ClientSession
        self._carried: aiohttp.ClientSession  # by the proxy, which judges what a name leads to

    async def __aenter__(self) -> "Sender":
        self._straight, self._carried = self._opened(socket_factory=self._socket), self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._straight.close()
        await self._carried.close()

    async def send(self, url: str, headers: dict[str, str], body: bytes) -> DeliveryOutcome:
        """Never raises for what a receiver, or the way to it, does."""
        began = time.monotonic()
        status, failure = await self._posted(url, headers, body)
        return DeliveryOutcome(status=status, failure=failure, seconds=time.monotonic() - began)

    async def _posted(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int | None, str | None]:
        fields = {"Content-Type": "application/json", "User-Agent": "Bystander", **headers}
        try:
            check_target(url, allow_private=self._allow_private)
            proxy = None if self._proxy is None else self._proxy.for_url(url)
            session = self._straight if proxy is None else self._carried
            async with session.post(
                url, data=body, headers=fields, allow_redirects=False, proxy=proxy
            ) as answer:
                await answer.content.read(ANSWER_BYTES_MAX)
                return answer.status, _failure_of(answer.status)
        except BystanderError as error:
            return None, error.code
        except TimeoutError:
            return None, "timeout"
        except aiohttp.InvalidURL:
            return None, "invalid_url"
        except aiohttp.ClientConnectorCertificateError:
            return None, "certificate_invalid"
        except aiohttp.ClientProxyConnectionError:
            return None, "proxy_unreachable"
        except aiohttp.ClientHttpProxyError:
            return None, "proxy_refused"
        except aiohttp.ClientConnectorError as error:
            private = isinstance(error.os_error, PrivateNetworkError)
            return None, "private_network" if private else "unreachable"
        except (aiohttp.ClientError, ConnectionError):
            return None, "connection_broken"

    def _opened(self, **options: Any) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=self._connections_max,
            keepalive_timeout=CONNECTIONS_IDLE_S_MAX,
            use_dns_cache=False,  # a receiver that moved is found at the next attempt
            **options,
        )
        return aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar()
        )

    def _socket(self, address: Any) -> socket.socket:
        """Called with the very address that is connected to: no later look-up can answer otherwise."""
        family, kind, protocol, _, where = address
        if not self._allow_private and not is_public(str(where[0])):
            raise PrivateNetworkError
        opened = socket.socket(family, kind, protocol)
        opened.setblocking(False)
        return opened


class PrivateNetworkError(OSError):
    """A name led to an address that webhooks may not reach."""

    def __init__(self) -> None:
        super().__init__(errno.EACCES, "private network")


def _failure_of(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    if status == 410:
        return "gone"
    return "redirected" if 300 <= status < 400 else "refused"
