"""Who asks, as the network tells it: nobody can choose an address that their requests are counted by."""

import pytest
from aiohttp.test_utils import make_mocked_request

from recorder.kernel.network.addresses import share_of
from signaling.network.clients import Clients


class _Transport:
    def __init__(self, peer: str) -> None:
        self._peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self._peer, 1234) if name == "peername" else default


def told(
    peer: str, forwarded: str | None, *, trusted: list[str], proto: str | None = None
) -> tuple[str, str]:
    headers = {"Host": "rec.example.net"}
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    if proto is not None:
        headers["X-Forwarded-Proto"] = proto
    request = make_mocked_request("GET", "/", headers=headers, transport=_Transport(peer))
    clients = Clients(trusted)
    return clients.address(request.clone(remote=peer)), clients.origin(request.clone(remote=peer))


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "address"),
    [
        ("203.0.113.9", None, [], "203.0.113.9"),
        ("127.0.0.1", "198.51.100.7", [], "127.0.0.1"),  # nobody is trusted unless named
        ("203.0.113.9", "198.51.100.7", ["10.0.0.0/8"], "203.0.113.9"),
        ("10.1.2.3", "198.51.100.7", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.1.2.3", "made up, 198.51.100.7", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.1.2.3", "1.2.3.4, 198.51.100.7, 10.9.9.9", ["10.0.0.0/8"], "198.51.100.7"),
        ("10.1.2.3", "198.51.100.7, unknown", ["10.0.0.0/8"], "10.1.2.3"),
        ("10.1.2.3", "", ["10.0.0.0/8"], "10.1.2.3"),
        ("::ffff:10.1.2.3", "2001:db8::7", ["10.0.0.0/8"], "2001:db8::7"),
    ],
)
def test_the_nearest_address_that_is_no_proxy_of_ours(
    peer: str, forwarded: str | None, trusted: list[str], address: str
) -> None:
    assert told(peer, forwarded, trusted=trusted)[0] == address


def test_a_proxy_in_front_says_by_which_scheme_we_are_reached() -> None:
    proxied = told("10.1.2.3", None, trusted=["10.0.0.0/8"], proto="https")
    assert proxied[1] == "https://rec.example.net"
    assert told("10.1.2.3", None, trusted=["10.0.0.0/8"], proto="javascript")[1] == "http://rec.example.net"
    assert told("10.1.2.3", None, trusted=[], proto="https")[1] == "http://rec.example.net"


@pytest.mark.parametrize(
    ("address", "share"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1%eth0", "2001:db8:1:2::"),
        ("", ""),
    ],
)
def test_a_subscriber_has_one_share(address: str, share: str) -> None:
    assert share_of(address) == share
