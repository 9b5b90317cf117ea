"""Webhooks, their pure parts: schedule, signatures, events, and which addresses may be reached."""

import json
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Oracle

from recorder.kernel.conversation import Conversation, Interaction, InteractionKind
from recorder.kernel.errors import BystanderError
from recorder.kernel.network.addresses import is_public
from recorder.kernel.recording import RecordingState
from recorder.kernel.webhook import EventType
from recorder.kernel.webhook_event import announced, body, interaction_event
from recorder.webhooks.networks import check_target
from recorder.webhooks.schedule import (
    RETRY_DELAY_INITIAL_S,
    RETRY_DELAY_S_MAX,
    RETRY_PERIOD_S,
    is_lost,
    next_attempt,
    retry_delay_s,
)
from recorder.webhooks.signature import new_signing_secret, signed_headers

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHANCE = st.floats(0, 1, exclude_max=True)


class TestSchedule:
    @given(st.integers(1, 10_000), CHANCE)
    def test_every_delay_is_within_its_bounds(self, attempts: int, chance: float) -> None:
        assert RETRY_DELAY_INITIAL_S / 2 <= retry_delay_s(attempts, chance) <= RETRY_DELAY_S_MAX

    @given(st.integers(1, 100), CHANCE, CHANCE)
    def test_delays_grow_whatever_chance_says(self, attempts: int, one: float, other: float) -> None:
        """Two steps later the longest is no longer than the shortest, up to the maximum."""
        longest, shortest = retry_delay_s(attempts, one), retry_delay_s(attempts + 2, other)
        assert longest < shortest or longest >= RETRY_DELAY_S_MAX / 2

    @given(st.lists(CHANCE, min_size=200, max_size=200))
    def test_a_day_of_failures_ends_exactly_with_the_day(self, chances: list[float]) -> None:
        now, times = NOW, [NOW]
        for attempts, chance in enumerate(chances, start=1):
            following = next_attempt(attempts, since=NOW, now=now, chance=chance)
            if following is None:
                break
            assert now < following
            times.append(now := following)
        assert times[-1] == NOW + timedelta(seconds=RETRY_PERIOD_S)
        assert 15 <= len(times) <= 35
        assert next_attempt(1, since=NOW, now=now, chance=0.0) is None

    @given(st.floats(0, 3 * RETRY_PERIOD_S))
    def test_a_webhook_is_lost_after_a_day_without_success(self, seconds: float) -> None:
        passed = timedelta(seconds=seconds)
        assert is_lost(NOW, NOW + passed) == (passed >= timedelta(seconds=RETRY_PERIOD_S))


class TestSigning:
    @given(st.binary(max_size=200))
    def test_the_reference_library_takes_our_signatures(self, told: bytes) -> None:
        body_ = json.dumps({"told": told.hex()}).encode()
        old, new = new_signing_secret(), new_signing_secret()
        headers = signed_headers("evt_1", body_, [new, old], unix_s=int(datetime.now(UTC).timestamp()))
        for secret in (old, new):  # while a secret is being changed, a receiver with either is served
            assert Oracle(secret).verify(body_, headers) == {"told": told.hex()}
        for changed in ({**headers, "webhook-id": "evt_2"}, {**headers, "webhook-timestamp": "1"}):
            with pytest.raises(Exception, match=r".+"):
                Oracle(new).verify(body_, changed)

    def test_it_is_what_the_specification_shows(self) -> None:
        secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        headers = signed_headers(
            "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', [secret], unix_s=1614265330
        )
        assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


class TestEvents:
    @pytest.mark.parametrize(
        ("before", "after", "type_"),
        [
            ("REQUESTED", "LAUNCHING", None),
            ("LAUNCHING", "READY", None),
            ("READY", "RECORDING", EventType.RECORDING_STARTED),
            ("RECORDING", "PAUSED", EventType.RECORDING_PAUSED),
            ("PAUSED", "RECORDING", EventType.RECORDING_RESUMED),
            ("RECORDING", "INTERRUPTED", EventType.RECORDING_INTERRUPTED),
            ("INTERRUPTED", "RECORDING", EventType.RECORDING_RESUMED),
            ("RECORDING", "FINALIZING", None),
            ("FINALIZING", "AVAILABLE", EventType.RECORDING_AVAILABLE),
            ("FINALIZING", "FAILED", EventType.RECORDING_FAILED),
            ("LAUNCHING", "FAILED", EventType.RECORDING_FAILED),
        ],
    )
    def test_moves_are_events(self, before: str, after: str, type_: EventType | None) -> None:
        assert announced(RecordingState(before), RecordingState(after)) is type_

    @given(st.sampled_from(RecordingState))
    def test_staying_is_none(self, state: RecordingState) -> None:
        assert announced(state, state) is None

    def test_an_interactions_body_says_which_and_why(self) -> None:
        conversation = Conversation(id="conv_1", external_id="case-1", created_at=NOW)
        call = Interaction(id="int_1", conversation="conv_1", kind=InteractionKind.CALL, started_at=NOW)
        event = interaction_event(
            EventType.INTERACTION_ABORT,
            conversation,
            call,
            reason="worker_not_ready",
            occurred_at=NOW,
            recording="rec_1",
        )
        told: dict[str, Any] = json.loads(body(event.type, NOW, event.data, base_url="https://b"))
        assert told["type"] == "interaction.abort"
        assert told["timestamp"] == "2026-11-20T12:00:00Z"
        assert told["data"]["interaction"]["id"] == "int_1"
        assert told["data"]["reason"] == "worker_not_ready"
        assert told["data"]["recording"]["links"]["self"] == "https://b/v1/recordings/rec_1"
        assert told["data"]["conversation"]["external_id"] == "case-1"
        assert told["data"]["conversation"]["links"]["self"] == "https://b/v1/conversations/conv_1"


PRIVATE = [
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "2002:7f00:1::",
    "2001:0:5ef5:79fb:0:0:80ff:fffe", "nonsense", "",
    "64:ff9b:1::1.1.1.1", "fec0::1", "::8.8.8.8",
]  # fmt: skip


class TestNetworks:
    @pytest.mark.parametrize("address", PRIVATE)
    def test_what_only_we_can_reach_is_not_public(self, address: str) -> None:
        assert not is_public(address)

    @pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
    def test_what_everybody_can_is(self, address: str) -> None:
        assert is_public(address)

    @given(st.ip_addresses(v=4))
    def test_the_way_into_ipv6_changes_nothing(self, address: IPv4Address) -> None:
        within = [f"::ffff:{address}", str(IPv6Address((0x64FF9B << 96) | int(address)))]
        assert {is_public(one) for one in within} == {is_public(str(address))}

    @pytest.mark.parametrize(
        ("url", "code"),
        [
            ("ftp://example.com/", "invalid_url"),
            ("https:///nothing", "invalid_url"),
            ("nothing", "invalid_url"),
            ("https://user:pass@example.com/", "invalid_url"),
            ("https://example.com:99999/", "invalid_url"),
            ("https://example.com/\n", "invalid_url"),
            ("https://[::1/", "invalid_url"),
            ("http://localhost/", "private_network"),
            ("http://LOCALHOST./", "private_network"),
            ("http://a.localhost/", "private_network"),
            ("http://metadata.google.internal/", "private_network"),
            ("http://169.254.169.254/latest", "private_network"),
            ("http://[::ffff:127.0.0.1]/", "private_network"),
            ("http://127.1/", "private_network"),
            ("http://0x7f000001/", "private_network"),
            ("http://2130706433/", "private_network"),
        ],
    )
    def test_a_target_is_refused(self, url: str, code: str) -> None:
        with pytest.raises(BystanderError) as error:
            check_target(url, allow_private=False)
        assert (error.value.code, error.value.status) == (code, 422)
        if code == "private_network":
            check_target(url, allow_private=True)

    @pytest.mark.parametrize(
        "url", ["https://example.com/hook?a=b", "http://1.1.1.1:8080/", "https://[2606:4700::1]"]
    )
    def test_a_target_is_taken(self, url: str) -> None:
        check_target(url, allow_private=False)

    @given(st.text(max_size=60))
    def test_any_text_is_a_target_or_a_refusal(self, text: str) -> None:
        for url in (text, f"https://{text}"):
            try:
                check_target(url, allow_private=False)
            except BystanderError as error:
                assert error.code in ("invalid_url", "private_network")
