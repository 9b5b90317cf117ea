"""Connector settings as the connectors of a node take them."""

from recorder.kernel.network.media import PortRange
from recorder.services.connectors.kinds import Kinds
from recorder.settings.definitions import CallSettings, ConnectorSettings, Settings
from signaling.connectors.rtp.ports import ANY_PORTS, RtpPlace
from signaling.connectors.targets import ConnectorTargets


def connector_kinds(settings: Settings) -> Kinds:
    """What connectors may do on this node."""
    targets = ConnectorTargets(settings.connectors.targets, settings.proxy.as_proxy())
    return Kinds(targets, _rtp_place(settings.connectors, settings.call))


def _rtp_place(connectors: ConnectorSettings, call: CallSettings) -> RtpPlace | None:
    address = connectors.rtp_address
    if address is None:
        return None
    ports = PortRange(connectors.rtp_port_min, connectors.rtp_port_max)
    return RtpPlace(
        address=address,
        announced=_announced(address, call.public_addresses),
        ports=ports if connectors.rtp_port_max else ANY_PORTS,
    )


def _announced(address: str, public_addresses: list[str]) -> str:
    """As senders reach it: the public address that NAT gives to this one, where one is set."""
    named = dict(entry.split("=", 1) for entry in public_addresses if "=" in entry)
    return named.get(address, address)
