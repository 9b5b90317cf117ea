"""Where connectors may connect: what the operator listed, whatever a URL or a name says."""

import pytest

from recorder.kernel.errors import BystanderError
from recorder.kernel.network.proxy import Proxy
from recorder.settings.addresses import connector_target
from signaling.connectors.targets import ConnectorTargets

WS = ("ws", "wss")


def refusal(targets: ConnectorTargets, url: str) -> str | None:
    try:
        targets.check_url(url, WS)
    except BystanderError as error:
        return error.code
    return None


@pytest.mark.parametrize(
    ("entries", "url", "code"),
    [
        ([], "ws://janus.example.org", "target_not_allowed"),
        ([], "ws://93.184.216.34", "target_not_allowed"),
        (["janus.example.org"], "wss://Janus.Example.org.:8989/x", None),
        (["janus.example.org"], "wss://other.example.org", "target_not_allowed"),
        (["*.example.org"], "wss://a.b.example.org", None),
        (["*.example.org"], "wss://example.org", "target_not_allowed"),
        (["*.example.org"], "wss://badexample.org", "target_not_allowed"),
        (["10.0.0.0/8"], "ws://10.1.2.3:8188", None),
        (["10.0.0.0/8"], "ws://11.1.2.3:8188", "target_not_allowed"),
        (["10.0.0.0/8"], "ws://[::ffff:10.1.2.3]:8188", "target_not_allowed"),
        (["fd00::/8"], "ws://[fd00::1]:8188", None),
        (["public"], "ws://93.184.216.34", None),
        (["public"], "ws://127.0.0.1", "target_not_allowed"),
        (["public"], "ws://[::ffff:169.254.169.254]", "target_not_allowed"),
        (["public"], "ws://some.name", None),  # its addresses are judged when they are known
        (["public"], "http://93.184.216.34", "invalid_url"),
        (["public"], "ws://user@93.184.216.34", "invalid_url"),
        (["public"], "ws://", "invalid_url"),
        (["public"], "ws://a b", "invalid_url"),
        (["public"], "ws://a:x", "invalid_url"),
    ],
)
def test_urls(entries: list[str], url: str, code: str | None) -> None:
    assert refusal(ConnectorTargets(entries), url) == code


def test_an_address_counts_that_a_name_led_to() -> None:
    listed = ConnectorTargets(["janus.example.org", "10.0.0.0/8", "public"])
    assert listed.admits("janus.example.org", "127.0.0.1")  # the operator named it
    assert listed.admits("other.example.org", "10.0.0.1")
    assert listed.admits("other.example.org", "93.184.216.34")
    assert not listed.admits("other.example.org", "127.0.0.1")
    assert not listed.admits("other.example.org", "192.168.0.1")
    assert not listed.admits("other.example.org", "no address")


@pytest.mark.parametrize("entry", ["public", "a.example.org", "*.example.org", "janus", "10.0.0.0/8", "::1"])
def test_entries_that_can_be_meant(entry: str) -> None:
    assert connector_target(entry) is None


@pytest.mark.parametrize("entry", ["", "*", "ws://a", "a.*.org", "10.0.0.0/40", "1.2.3", "a b"])
def test_entries_that_are_refused_at_the_start(entry: str) -> None:
    assert connector_target(entry) is not None


def test_what_a_proxy_carries_has_to_be_listed_by_its_name() -> None:
    proxy = Proxy(url="http://proxy.example.org:3128", no_proxy=["10.0.0.0/8", "near.example.org"])
    listed = ConnectorTargets(["janus.example.org", "public", "10.0.0.0/8"], proxy)
    assert listed.proxy_for("janus.example.org") == proxy.url
    assert listed.proxy_for("93.184.216.34") == proxy.url
    assert listed.proxy_for("10.1.2.3") is None
    assert listed.proxy_for("near.example.org") is None  # its addresses are judged here
    with pytest.raises(BystanderError, match="target_not_allowed"):
        listed.proxy_for("other.example.org")
    assert ConnectorTargets(["public"]).proxy_for("other.example.org") is None
