"""What the conformance suite needs of each kind: a call somewhere, people in it, and a connector to it."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from recorder.kernel.connectors.source import JanusSource
from signaling.connectors.connector import Connector
from signaling.connectors.janus.connector import JanusConnector
from signaling.connectors.targets import ConnectorTargets
from tests.support.janus_publisher import JanusPublisher
from tests.support.janus_server import LOCKED_ROOM, PIN, JanusServer, janus_server

LOOPBACK = ConnectorTargets(["127.0.0.1"])


class Scene(Protocol):
    """A call on another system."""

    secrets: tuple[str, ...]  # that the connector is given

    def connector(self, targets: ConnectorTargets = LOOPBACK) -> Connector: ...
    def somebody(self, name: str) -> AbstractAsyncContextManager[object]:
        """Somebody who sends sound and pictures for the length of the block."""
        ...

    def break_down(self) -> None:
        """End the other system without a word."""
        ...


class JanusScene:
    """A room with a PIN."""

    secrets = (PIN,)

    def __init__(self, server: JanusServer) -> None:
        self._server = server

    def connector(self, targets: ConnectorTargets = LOOPBACK) -> Connector:
        return JanusConnector(JanusSource(url=self._server.url, room=LOCKED_ROOM, pin=PIN), targets)

    def somebody(self, name: str) -> AbstractAsyncContextManager[object]:
        return JanusPublisher(self._server.url, LOCKED_ROOM, name, pin=PIN)

    def break_down(self) -> None:
        self._server.kill()


@contextmanager
def janus_scene(directory: Path) -> Iterator[Scene]:
    with janus_server(directory) as server:
        yield JanusScene(server)


SCENES = {"janus": janus_scene}
