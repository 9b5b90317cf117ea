"""WHEP (draft-ietf-wish-whep): a stream that a media server plays, by an offer of ours that it answers."""

import asyncio
from contextlib import suppress

import aiohttp
import msgspec
from yarl import URL

from recorder.kernel.connectors.source import WhepSource
from recorder.kernel.connectors.status import StreamState
from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.limits import SDP_BYTES_MAX
from recorder.kernel.media import PublishedSession
from signaling.connectors.connector import Intake, connection_lost, not_understood, refused, unreachable
from signaling.connectors.http_client import TargetNotAllowedError, client_session
from signaling.connectors.sender import publisher_of, stream_of
from signaling.connectors.targets import ConnectorTargets, not_allowed

SCHEMES = ("http", "https")
AGAIN_S = 2.0  # before a recording that would not take the stream is asked again
GOODBYE_S_MAX = 1.0


class WhepConnector:
    """Fulfils signaling.connectors.connector.Connector: one session of one stream."""

    def __init__(self, source: WhepSource, targets: ConnectorTargets) -> None:
        self._source = source
        self._targets = targets

    async def run(self, intake: Intake) -> None:
        host = self._targets.check_url(self._source.url, SCHEMES)
        proxy = self._targets.proxy_for(host)
        try:
            async with client_session(host, self._targets, carried=proxy is not None) as client:
                session = await self._offered(intake)
                try:
                    await self._play(client, proxy, session, intake)
                finally:
                    await intake.unpublish(session.id)
        finally:
            intake.forget(stream_of(self._source).id)

    async def _offered(self, intake: Intake) -> PublishedSession:
        """Our offer, as soon as the recording takes the stream."""
        while True:
            try:
                return await intake.offer(publisher_of(self._source))
            except BystanderError as error:
                self._tell(intake, StreamState.REFUSED, error.code)
                await asyncio.sleep(AGAIN_S)

    async def _play(
        self, client: aiohttp.ClientSession, proxy: str | None, session: PublishedSession, intake: Intake
    ) -> None:
        self._tell(intake, StreamState.CONNECTING)
        resource, answer = await self._post(client, proxy, session.sdp)
        try:
            intake.connected()
            try:
                await intake.answered(session.id, answer)
            except BystanderError:
                raise not_understood(
                    "The answer cannot be read, or sends nothing that is recorded."
                ) from None
            await self._follow(session.id, intake)
        finally:
            await self._leave(client, proxy, resource)

    async def _follow(self, session: str, intake: Intake) -> None:
        known = "new"
        while True:
            state, _ = await intake.state(session, known)
            if state == "connected" != known:
                self._tell(intake, StreamState.CONNECTED)
            elif state in ("disconnected", "failed", "closed"):
                raise connection_lost("The media server has ended the session, or is silent.")
            known = state

    async def _post(self, client: aiohttp.ClientSession, proxy: str | None, offer: str) -> tuple[URL, str]:
        headers = {"Content-Type": "application/sdp", "Accept": "application/sdp", **self._shown()}
        try:
            async with client.post(
                self._source.url, data=offer, headers=headers, proxy=proxy, allow_redirects=False
            ) as answer:
                if answer.status != 201:
                    raise _failure(answer.status)
                text = (await answer.content.read(SDP_BYTES_MAX + 1)).decode()
                return self._resource(answer), text
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, TargetNotAllowedError):
                raise not_allowed() from None
            raise unreachable("The media server cannot be reached.") from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise unreachable("The media server does not answer.") from None
        except (UnicodeDecodeError, ValueError):
            raise not_understood("The media server answers with something else than SDP.") from None

    def _resource(self, answer: aiohttp.ClientResponse) -> URL:
        """The session's URL: of the same origin, for the token goes there too."""
        resource = answer.url.join(URL(answer.headers.get("Location", "")))
        if _origin(resource) != _origin(URL(self._source.url)):
            raise not_understood("The session's Location is of another origin than the stream.")
        return resource.with_user(None)

    async def _leave(self, client: aiohttp.ClientSession, proxy: str | None, resource: URL) -> None:
        """Say goodbye."""
        with suppress(aiohttp.ClientError, TimeoutError, OSError):  # it may be gone
            async with asyncio.timeout(GOODBYE_S_MAX):
                await client.delete(resource, headers=self._shown(), proxy=proxy, allow_redirects=False)

    def _shown(self) -> dict[str, str]:
        token = self._source.token
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def _tell(self, intake: Intake, state: StreamState, reason: str | None = None) -> None:
        intake.tell(msgspec.structs.replace(stream_of(self._source), state=state, reason=reason))


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    """Its scheme, host, and port, whether that is written out or not."""
    return url.scheme, url.host, url.port


def _failure(status: int) -> BystanderError:
    if status in (401, 403):
        return refused("unauthorized", "The media server wants another token.")
    code = "stream_not_found" if status == 404 else "request_failed"
    return BystanderError(code, f"The media server says {status}.", fault=Fault.PEER, status=502)
