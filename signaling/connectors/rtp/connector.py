"""A receiver of plain RTP: it listens, and the sender comes when it likes."""

import asyncio

import msgspec

from recorder.kernel.connectors.source import RtpSource
from recorder.kernel.connectors.status import StreamState
from recorder.kernel.errors import BystanderError
from signaling.connectors.connector import Intake
from signaling.connectors.rtp.preparation import check_rtp
from signaling.connectors.sender import publisher_of, stream_of
from signaling.connectors.targets import ConnectorTargets

AGAIN_S_FIRST = 0.25  # before ports that are taken, or a refusal, are tried again; doubled each time
AGAIN_S_MAX = 4.0


class RtpConnector:
    """Fulfils signaling.connectors.connector.Connector; connected while it listens."""

    def __init__(self, source: RtpSource, address: str, targets: ConnectorTargets) -> None:
        self._source = source
        self._address = address
        self._targets = targets

    async def run(self, intake: Intake) -> None:
        check_rtp(self._source, self._targets)
        intake.connected()
        wait_s = AGAIN_S_FIRST
        try:
            while True:  # a sender that has ended may come again
                if await self._receive(intake):
                    wait_s = AGAIN_S_FIRST
                    continue
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, AGAIN_S_MAX)
        finally:
            intake.forget(stream_of(self._source).id)

    async def _receive(self, intake: Intake) -> bool:
        """Until the sender has ended; False where nobody may listen for it now."""
        try:
            session = await intake.receive_rtp(publisher_of(self._source), self._source, self._address)
        except BystanderError as error:
            refused = msgspec.structs.replace(
                stream_of(self._source), state=StreamState.REFUSED, reason=error.code
            )
            intake.tell(refused)
            return False
        try:
            await self._follow(session, intake)
        finally:
            await intake.unpublish(session)
        return True

    async def _follow(self, session: str, intake: Intake) -> None:
        """Until the sender has ended."""
        known, stream = "new", stream_of(self._source)
        intake.tell(stream)
        while known not in ("failed", "closed"):
            state, reason = await intake.state(session, known)
            if state != known:
                known = state
                told = StreamState.CONNECTED if state == "connected" else StreamState.CONNECTING
                intake.tell(msgspec.structs.replace(stream, state=told, reason=reason))
