"""The few calls of a server's API that a load makes, with refusals told apart from failures."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from recorder.kernel.errors import BystanderError, Fault
from recorder.kernel.media import MediaEvent
from recorder.kernel.recording import Recording, RecordingState

REQUEST_S_MAX = 60.0
_OVER = (RecordingState.AVAILABLE, RecordingState.FAILED)
_REFUSED = 503


class RefusedError(Exception):
    """The server takes no recording now: its `code`, and when to ask again, where it says so."""

    def __init__(self, code: str, retry_after_s: float | None) -> None:
        super().__init__(code)
        self.code, self.retry_after_s = code, retry_after_s


class Client:
    """One server, spoken to with one API key."""

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str) -> None:
        self._http, self._url = http, url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}

    async def create_conversation(self, metadata: dict[str, str]) -> str:
        body = await self._call("POST", "/v1/conversations", {"metadata": metadata})
        return str(msgspec.json.decode(body)["id"])

    async def delete_conversation(self, conversation: str) -> None:
        await self._call("DELETE", f"/v1/conversations/{conversation}")

    async def start(self, conversation: str) -> Recording:
        """A recording with its entry point; RefusedError where the server takes none."""
        body = await self._call("POST", f"/v1/conversations/{conversation}/recordings", {})
        return msgspec.json.decode(body, type=Recording)

    async def stop(self, recording: str) -> None:
        await self._call("POST", f"/v1/recordings/{recording}/stop", {})

    async def over(self, recording: str, *, seconds_max: float) -> Recording:
        """The recording once it is AVAILABLE or FAILED; TimeoutError after `seconds_max`."""
        async with asyncio.timeout(seconds_max):
            async for now in self._states(recording):
                if now.state in _OVER:
                    return now
        raise _failed("the events of a recording ended before it did")

    async def events(self, recording: str) -> list[MediaEvent]:
        body = await self._call("GET", f"/v1/recordings/{recording}/events.jsonl")
        return [msgspec.json.decode(line, type=MediaEvent) for line in body.splitlines() if line]

    async def media(self, recording: str) -> AsyncIterator[bytes]:
        """The file, a piece at a time."""
        async with self._http.get(
            f"{self._url}/v1/recordings/{recording}/media", headers=self._headers
        ) as response:
            if response.status >= 400:
                raise _failed(f"the media of {recording} was answered {response.status}")
            async for piece in response.content.iter_chunked(1 << 18):
                yield piece

    async def metrics(self) -> str:
        return (await self._call("GET", "/metrics")).decode()

    async def _states(self, recording: str) -> AsyncIterator[Recording]:
        url = f"{self._url}/v1/recordings/{recording}/events"
        async with self._http.get(
            url, headers=self._headers, timeout=aiohttp.ClientTimeout(sock_read=None)
        ) as answer:
            async for line in answer.content:
                if line.startswith(b"data:"):
                    yield msgspec.json.decode(line.removeprefix(b"data:"), type=Recording)

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> bytes:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S_MAX)
        try:
            async with self._http.request(
                method, self._url + path, json=body, headers=self._headers, timeout=timeout
            ) as response:
                answer = await response.read()
                if response.status >= 400:
                    raise _refusal(method, path, response, answer)
                return answer
        except (aiohttp.ClientConnectionError, TimeoutError) as error:
            raise _failed(f"{self._url} does not answer: {error or 'it took too long'}") from error


def _refusal(method: str, path: str, response: aiohttp.ClientResponse, body: bytes) -> Exception:
    try:
        problem = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        problem = {}
    code = str(problem.get("code", response.status))
    if response.status == _REFUSED:
        after = response.headers.get("Retry-After", "")
        return RefusedError(code, float(after) if after.isdecimal() else None)
    detail = str(problem.get("detail", body[:200].decode(errors="replace")))
    return BystanderError(code, f"{method} {path}: {detail}", fault=Fault.CALLER, status=response.status)


def _failed(detail: str) -> BystanderError:
    return BystanderError("load_failed", detail, fault=Fault.RESOURCE, status=503)
