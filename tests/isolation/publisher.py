"""A publisher in a process of its own, for a namespace of its own; asked by lines of JSON.

{"servers": [...], "relayed": true} is answered with {"offer": ...}, {"answer": ...} with {"connected":
seconds}.
It sends until standard input ends.
"""

import asyncio
import json
import sys
from typing import Any

import msgspec

from recorder.kernel.media import IceServer
from tests.support.aiortc_peer import AiortcPeer


async def main() -> None:
    loop = asyncio.get_running_loop()

    async def heard() -> dict[str, Any] | None:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        return json.loads(line) if line else None

    asked = await heard()
    assert asked is not None
    servers = [msgspec.convert(each, IceServer) for each in asked["servers"]]
    async with AiortcPeer(ice_servers=servers, relay_only=asked["relayed"]) as publisher:
        say(offer=await publisher.offer())
        answered = await heard()
        assert answered is not None
        began = loop.time()
        await publisher.answered(answered["answer"])
        while publisher.connection.connectionState != "connected":  # noqa: ASYNC110 - aiortc tells listeners alone
            await asyncio.sleep(0.005)
        say(connected=loop.time() - began)
        await heard()


def say(**said: Any) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
