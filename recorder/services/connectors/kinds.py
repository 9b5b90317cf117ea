"""The kinds of connector: what is asked of each source, what it is given, and what connects to it."""

from collections.abc import Iterable

import msgspec

from recorder.kernel.connectors.source import ConnectorSource, JanusSource, RtpSource, WhepSource
from recorder.kernel.errors import caller_error
from signaling.connectors.connector import Connector
from signaling.connectors.janus.api import SCHEMES as JANUS_SCHEMES
from signaling.connectors.janus.connector import JanusConnector
from signaling.connectors.rtp.connector import RtpConnector
from signaling.connectors.rtp.description import write_description
from signaling.connectors.rtp.ports import PortsHeld, RtpPlace, check_ports, ports_of
from signaling.connectors.rtp.preparation import check_rtp, prepared
from signaling.connectors.targets import ConnectorTargets
from signaling.connectors.whep.connector import SCHEMES as WHEP_SCHEMES
from signaling.connectors.whep.connector import WhepConnector


def kind_of(source: ConnectorSource) -> str:
    """As the API names it."""
    return str(source.__struct_config__.tag)


class Kinds(msgspec.Struct, frozen=True):
    """What this node lets connectors do; without `rtp` it receives no plain RTP."""

    targets: ConnectorTargets
    rtp: RtpPlace | None = None

    def check(self, source: ConnectorSource) -> None:
        """Raises BystanderError: 403 target_not_allowed, 409 rtp_not_received, 422 for what is malformed."""
        match source:
            case JanusSource():
                self.targets.check_url(source.url, JANUS_SCHEMES)
            case WhepSource():
                self.targets.check_url(source.url, WHEP_SCHEMES)
            case RtpSource():
                check_ports(source, self._place().ports)
                check_rtp(source, self.targets)

    def prepare(
        self, source: ConnectorSource, ours: Iterable[ConnectorSource], others: Iterable[ConnectorSource]
    ) -> ConnectorSource:
        """The source with what the recorder gives out for it.

        The account's own connectors (`ours`) and those of `others` keep what they have.
        """
        if not isinstance(source, RtpSource):
            return source
        held = PortsHeld(by_account=_ports(ours), by_others=_ports(others))
        return prepared(source, self._place(), held)

    def description(self, source: ConnectorSource) -> str | None:
        """The session description for whoever sends; None where there is none to give."""
        if not isinstance(source, RtpSource) or self.rtp is None:
            return None
        return write_description(source, self.rtp.announced)

    def connector(self, source: ConnectorSource) -> Connector:
        """One connection to it, not yet made."""
        match source:
            case JanusSource():
                return JanusConnector(source, self.targets)
            case WhepSource():
                return WhepConnector(source, self.targets)
            case RtpSource():
                return RtpConnector(source, self._place().address, self.targets)

    def _place(self) -> RtpPlace:
        if self.rtp is None:
            detail = "This server receives no plain RTP: connectors.rtp_address is not set."
            raise caller_error("rtp_not_received", detail, status=409)
        return self.rtp


def _ports(sources: Iterable[ConnectorSource]) -> frozenset[int]:
    return frozenset(port for one in sources if isinstance(one, RtpSource) for port in ports_of(one))
