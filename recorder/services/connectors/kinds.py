"""The kinds of connector: what is asked of each source before it counts, and what connects to it."""

from recorder.kernel.connectors.source import ConnectorSource, JanusSource
from signaling.connectors.connector import Connector
from signaling.connectors.janus.api import SCHEMES as JANUS_SCHEMES
from signaling.connectors.janus.connector import JanusConnector
from signaling.connectors.targets import ConnectorTargets


def kind_of(source: ConnectorSource) -> str:
    """As the API names it."""
    return str(source.__struct_config__.tag)


def check_source(source: ConnectorSource, targets: ConnectorTargets) -> None:
    """Raises BystanderError: target_not_allowed (403), invalid_url (422)."""
    match source:
        case JanusSource():
            targets.check_url(source.url, JANUS_SCHEMES)


def connector_of(source: ConnectorSource, targets: ConnectorTargets) -> Connector:
    """One connection to it, not yet made."""
    match source:
        case JanusSource():
            return JanusConnector(source, targets)
