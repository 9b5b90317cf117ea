"""What the conformance suite needs of each kind: a call somewhere, people in it, and a connector to it."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from recorder.kernel.connectors.source import JanusSource, RtpCodec, RtpSource, RtpStream, WhepSource
from signaling.connectors.connector import Connector
from signaling.connectors.janus.connector import JanusConnector
from signaling.connectors.rtp.connector import RtpConnector
from signaling.connectors.rtp.ports import PortsHeld, RtpPlace
from signaling.connectors.rtp.preparation import prepared
from signaling.connectors.targets import ConnectorTargets
from signaling.connectors.whep.connector import WhepConnector
from tests.support.janus_publisher import JanusPublisher
from tests.support.janus_server import LOCKED_ROOM, PIN, JanusServer, janus_server
from tests.support.plain_sender import PlainSender
from tests.support.whep_server import WhepServer, whep_server

LOOPBACK = ConnectorTargets(["127.0.0.1"])


class Scene(Protocol):
    """A call on another system."""

    secrets: tuple[str, ...]  # that the connector is given
    people_max: int  # that one connector brings

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
    people_max = 16

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


class RtpScene:
    """Ports of this machine, where one sender is expected."""

    secrets = ()
    people_max = 1

    def __init__(self) -> None:
        self.source = prepared(
            RtpSource(
                senders=["127.0.0.1"],
                audio=RtpStream(codec=RtpCodec.OPUS, payload_type=111),
                video=RtpStream(codec=RtpCodec.VP8, payload_type=96),
                rtcp_mux=True,
                name="Ada",
            ),
            RtpPlace(address="127.0.0.1", announced="127.0.0.1"),
            PortsHeld(),
        )

    def connector(self, targets: ConnectorTargets = LOOPBACK) -> Connector:
        return RtpConnector(self.source, "127.0.0.1", targets)

    def somebody(self, name: str) -> AbstractAsyncContextManager[object]:
        return PlainSender(self.source)

    def break_down(self) -> None:
        raise NotImplementedError("there is no other system")


@contextmanager
def rtp_scene(directory: Path) -> Iterator[Scene]:
    yield RtpScene()


class WhepScene:
    """One stream of a small WHEP server of our own: the registries have none."""

    secrets = ("a WHEP token for tests",)
    people_max = 1

    def __init__(self, server: WhepServer) -> None:
        self._server = server

    def connector(self, targets: ConnectorTargets = LOOPBACK) -> Connector:
        return WhepConnector(WhepSource(url=self._server.url, token=self.secrets[0], name="Ada"), targets)

    def somebody(self, name: str) -> AbstractAsyncContextManager[object]:
        return self._server.playing()

    def break_down(self) -> None:
        self._server.kill()


@contextmanager
def whep_scene(directory: Path) -> Iterator[Scene]:
    with whep_server(WhepScene.secrets[0]) as server:
        yield WhepScene(server)


SCENES = {"janus": janus_scene, "rtp": rtp_scene, "whep": whep_scene}
SLOW = {"whep"}  # its server takes a second to start, and its silence five to be one
WITH_A_SERVER = ("janus", "whep")  # kinds where there is another system that can break down
WITH_A_ROOM = ("janus", "rtp")  # kinds of which one connection outlives who sends
