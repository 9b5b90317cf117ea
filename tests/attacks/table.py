"""The table of attacks: who attacks, what they try, what others must not notice; docs/security.md shows it.

`attack` puts a function into it that tries one on a real server. What needs another stage than that (a
simulated network, a bucket, a browser) is tried by the tests that ELSEWHERE names.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

Try = Callable[["Scene"], Awaitable[None]]
NOTHING = "others notice nothing"
HERE = "tests/attacks/test_attacks.py"


class Attack(NamedTuple):
    """One row. `in_call`: it is tried on a recording to which somebody sends media all the while."""

    who: str
    what: str
    others: str
    tries: Try
    in_call: bool


class Elsewhere(NamedTuple):
    """One row whose tests stand with what they test."""

    who: str
    what: str
    others: str
    tests: tuple[str, ...]


ATTACKS: list[Attack] = []


def attack(who: str, what: str, others: str = NOTHING, *, in_call: bool = False) -> Callable[[Try], Try]:
    """Put what follows into the table."""

    def put(tries: Try) -> Try:
        ATTACKS.append(Attack(who, what, others, tries, in_call))
        return tries

    return put


ELSEWHERE = (
    Elsewhere(
        "stranger",
        "pictures and sound before the keys are there: 700 packets that fill what waits for them",
        "the publisher's own first packets are kept",
        (
            "tests/media/test_transport.py::test_media_ahead_of_its_keys_is_kept_within_bounds",
            "tests/media/test_candidates.py::test_media_and_dtls_are_taken_from_validated_addresses_alone",
        ),
    ),
    Elsewhere(
        "stranger",
        "a cipher suite without authenticated encryption",
        "no session has one",
        ("tests/media/test_transport.py::test_suites_are_authenticated_encryption_for_both_kinds_of_certificates",),
    ),
    Elsewhere(
        "publisher",
        "what was sent before once more, also when its source was forgotten meanwhile",
        "nothing is recorded twice",
        (
            "tests/media/test_transport.py::test_replays_and_forgeries_are_counted",
            "tests/media/test_transport.py::test_what_a_source_sent_cannot_be_replayed_when_its_state_is_gone",
        ),
    ),
    Elsewhere(
        "publisher",
        "the largest pictures with the most references that any decoder takes, in each of its streams",
        "the memory of their process, the time of the others' streams",
        (
            "tests/attacks/test_decoders.py::test_the_memory_of_decoders_is_bounded_and_given_back",
            "tests/media/test_decoding.py::test_a_picture_over_the_limit_never_reaches_a_decoder",
            "tests/media/test_decoding.py::test_a_stream_that_takes_too_much_time_rests",
        ),
    ),
    Elsewhere(
        "publisher",
        "whatever code runs in the media process: files, programs, processes, other sockets, its environment",
        "the server, its secrets, other recordings",
        ("tests/recorder/test_sandbox.py::test_what_is_refused",),
    ),
    Elsewhere(
        "publisher",
        "a crash of the process that parses media, again and again",
        "a gap of at most three seconds each; the recording goes on",
        (
            "tests/faults/test_interruptions.py::test_ten_kills_are_ten_gaps",
            "tests/faults/test_room_comes_back.py::test_pages_publish_again_by_themselves",
        ),
    ),
    Elsewhere(
        "visitor",
        "the token of their link, left in the browser's address bar",
        "it is gone from there",
        ("tests/signaling/test_room_in_chromium.py::test_an_operator_creates_a_call_and_finds_its_recordings",),
    ),
    Elsewhere(
        "another web site",
        "requests with the session of somebody's console; its pages in a frame",
        NOTHING,
        (
            "tests/signaling/test_console_attacks.py::test_nothing_is_changed_without_the_token",
            "tests/signaling/test_console_attacks.py::test_another_sites_page_gets_nothing",
            "tests/signaling/test_console_attacks.py::test_no_page_is_framed_or_takes_scripts_from_elsewhere",
        ),
    ),
    Elsewhere(
        "tenant",
        "webhooks that never answer, and as many as may be registered",
        "their own webhooks are delivered in time",
        (
            "tests/recorder/test_webhook_shares.py::test_silent_receivers_of_one_account_keep_nobody_waiting",
            "tests/recorder/test_webhook_shares.py::test_an_account_has_a_share_of_what_may_be_registered",
        ),
    ),
    Elsewhere(
        "receiver of webhooks",
        "a redirect, or a name that means another address at the connection than it did before",
        "no address of the server's own networks is asked",
        (
            "tests/recorder/test_webhook_delivery.py::test_follows_no_redirect",
            "tests/recorder/test_webhook_delivery.py::test_is_at_the_connection_whatever_the_name_says",
        ),
    ),
    Elsewhere(
        "store",
        "a promise that it does not keep: legal hold, object lock, encryption",
        "no recording begins that counts on it",
        (
            "tests/storage/test_other_stores.py::test_a_store_that_cannot_keep_a_promise_is_not_opened",
            "tests/storage/test_holding.py::test_a_bucket_that_keeps_no_locks_is_refused",
        ),
    ),
)  # fmt: skip


def table() -> str:
    """The rows as docs/security.md has them."""
    rows = [(a.who, a.what, a.others, f"`{a.tries.__name__}`") for a in ATTACKS]
    rows += [
        (e.who, e.what, e.others, ", ".join(f"`{test.rpartition('/')[2]}`" for test in e.tests))
        for e in ELSEWHERE
    ]
    lines = ["| who | tries | what others notice, or what holds | test |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in sorted(rows, key=lambda row: ORDER.index(row[0]))]
    return "\n".join(lines)


ORDER = (
    "stranger",
    "another account of the machine",
    "another web site",
    "holder of a signed link",
    "visitor",
    "participant",
    "publisher",
    "call service",
    "tenant",
    "receiver of webhooks",
    "store",
)
