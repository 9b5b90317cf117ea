"""The page docs/limits.md: `python -m recorder.limits_page > docs/limits.md`.

Every share that somebody else could take, its bound from the code that holds it, and what happens beyond.
"""

import sys
from typing import NamedTuple

from recorder.kernel import limits as kernel
from recorder.kernel.files import file as files
from recorder.node.process import DESCRIPTORS_RESERVED
from recorder.services.connectors.connectors import CONNECTORS_PER_CONVERSATION_MAX
from recorder.services.files import backgrounds, pictures, uploads
from recorder.services.idempotency import ANSWERS_MAX, ANSWERS_PER_PAYER_MAX
from recorder.services.recording import entry_points
from recorder.settings.definitions import LimitSettings, WebhookSettings
from recorder.webhooks import dispatcher, registrations
from signaling.connectors.rtp import ports as rtp
from signaling.http import bodies, idempotency
from signaling.http.rate_limits import RateLimits
from signaling.http.streams import EVENT_STREAMS_MAX, STREAMS_PER_SHARE_MAX
from signaling.network import connections
from signaling.room.core import limits as room

_SETTINGS, _HOOKS, _RATES = LimitSettings(), WebhookSettings(), RateLimits()
_IN_FLIGHT = _HOOKS.deliveries_in_flight_max
_KIB = kernel.KIB


class Share(NamedTuple):
    """One row: what is shared out, how much of it, where that can be set, and what happens beyond it."""

    what: str
    bound: str
    setting: str | None
    beyond: str


def _rate(burst: int, per_s: float) -> str:
    return f"{burst} at once, {per_s:g}/s"


_LATER = "429 `too_many_requests` with Retry-After, before anything is looked up"
_MAKES_WAY = "whichever has waited longest for a request makes way; if none waits, the newest is closed"
_STREAMS = "event streams and long-polls"
_TOO_MANY = "429 `too_many_streams`"

SHARES: dict[str, tuple[Share, ...]] = {
    "An address": (
        Share(
            "requests without a token that was good before",
            _rate(_SETTINGS.address_requests_burst, _SETTINGS.address_requests_per_s),
            "limits.address_requests_*",
            _LATER,
        ),
        Share("files of pages", _rate(_RATES.page.burst, _RATES.page.per_s), None, _LATER),
        Share(
            "connections",
            f"{_SETTINGS.address_connections_max}",
            "limits.address_connections_max",
            _MAKES_WAY,
        ),
        Share(
            "room sockets that have not said whose they are",
            f"{room.UNKNOWN_SOCKETS_PER_ADDRESS_MAX}",
            None,
            "the one that has been silent longest is cut",
        ),
        Share(
            "event streams by signed link",
            f"{STREAMS_PER_SHARE_MAX['address']}",
            None,
            _TOO_MANY,
        ),
    ),
    "A connection": (
        Share("time to its first whole request", f"{connections.HEAD_S_MAX:g} s", None, "closed"),
        Share("time between an answer and the next request", f"{connections.IDLE_S_MAX:g} s", None, "closed"),
        Share("time for a request's body", f"{bodies.BODY_READ_S_MAX:g} s", None, "408 `body_too_slow`"),
        Share("JSON of a request", f"{kernel.JSON_BODY_BYTES_MAX // _KIB} KiB", None, "413 `body_too_large`"),
        Share("SDP of an offer", f"{kernel.SDP_BYTES_MAX // _KIB} KiB", None, "413 `body_too_large`"),
        Share(
            "SDP of a fragment", f"{kernel.SDP_FRAGMENT_BYTES_MAX // _KIB} KiB", None, "413 `body_too_large`"
        ),
        Share("a room's socket before its hello", f"{room.HELLO_TIMEOUT_S:g} s", None, "closed with 4408"),
        Share(
            "messages of a room's socket",
            _rate(room.MESSAGES_BURST_MAX, room.MESSAGES_PER_S_MAX),
            None,
            "closed with 4429",
        ),
        Share(
            "what waits for a room's socket",
            f"{room.SEND_QUEUE_MESSAGES_MAX} messages, {room.SEND_QUEUE_BYTES_MAX // kernel.MIB} MiB",
            None,
            "cut off; its seat is kept",
        ),
    ),
    "A token": (
        Share(
            "requests of an API key, a console session, or an entry point's own token",
            _rate(_SETTINGS.key_requests_burst, _SETTINGS.key_requests_per_s),
            "limits.key_requests_*",
            _LATER,
        ),
        Share(
            "requests of a participant",
            _rate(_SETTINGS.participant_requests_burst, _SETTINGS.participant_requests_per_s),
            "limits.participant_requests_*",
            _LATER,
        ),
    ),
    "A participant": (
        Share(
            "WHIP sessions in a conversation",
            f"{entry_points.SESSIONS_PER_PARTICIPANT_MAX}",
            None,
            "the oldest is ended",
        ),
        Share(
            _STREAMS,
            f"{STREAMS_PER_SHARE_MAX['participant']}",
            None,
            _TOO_MANY,
        ),
        Share("pages in a room", "1", None, "the newest page replaces the one before"),
    ),
    "A conversation": (
        Share("people in its room", f"{room.PARTICIPANTS_PER_ROOM_MAX}", None, "closed with 4507"),
        Share("connectors", f"{CONNECTORS_PER_CONVERSATION_MAX}", None, "409 `too_many_connectors`"),
        Share(
            _STREAMS,
            f"{STREAMS_PER_SHARE_MAX['conversation']}",
            None,
            _TOO_MANY,
        ),
        Share(
            "files on their way", f"{uploads.UPLOADS_PER_CONVERSATION_MAX}", None, "429 `too_many_uploads`"
        ),
        Share(
            "one file", f"{files.FILE_BYTES_MAX // kernel.MIB} MiB", "files.bytes_max", "413 `file_too_large`"
        ),
        Share(
            "one picture",
            f"{pictures.PICTURE_BYTES_MAX // kernel.MIB} MiB, {pictures.PICTURE_PIXELS_MAX} pixels",
            None,
            "413 `picture_too_large`, 422 `picture_invalid`",
        ),
        Share("publishers of one recording", f"{kernel.PUBLISHERS_PER_RECORDING_MAX}", None, "503"),
        Share("streams of one publisher", f"{kernel.STREAMS_PER_PUBLISHER_MAX}", None, "422"),
    ),
    "An account": (
        Share(
            "backgrounds",
            f"{backgrounds.BACKGROUNDS_PER_ACCOUNT_MAX}",
            None,
            "409 `too_many_backgrounds`",
        ),
        Share(
            "pairs of ports for plain RTP, of a node's",
            f"{rtp.ACCOUNT_PART:.0%}, at least {rtp.PAIRS_PER_ACCOUNT_MIN}",
            "connectors.rtp_port_*",
            "409 `too_many_rtp_ports`",
        ),
        Share("webhooks", f"{registrations.WEBHOOKS_PER_ACCOUNT_MAX}", None, "409 `too_many_webhooks`"),
        Share(
            "deliveries on their way to its webhooks",
            f"{int(_IN_FLIGHT * dispatcher.ACCOUNT_PART)} of {_IN_FLIGHT}",
            "webhooks.deliveries_in_flight_max",
            "the others' go first",
        ),
        Share(
            "test events on their way",
            f"{registrations.TRIALS_PER_ACCOUNT_MAX}",
            None,
            "429 `too_many_trials`",
        ),
        Share(
            "answers to requests with an Idempotency-Key, kept for a day",
            f"{ANSWERS_PER_PAYER_MAX} of {ANSWERS_MAX}",
            None,
            "its own oldest are forgotten",
        ),
        Share(
            _STREAMS,
            f"{STREAMS_PER_SHARE_MAX['account']}",
            None,
            _TOO_MANY,
        ),
    ),
    "A webhook": (
        Share(
            "deliveries on their way",
            f"{dispatcher.IN_FLIGHT_PER_WEBHOOK_MAX}",
            None,
            "they wait for answers",
        ),
        Share(
            "deliveries on their way to all that failed last",
            f"{int(_IN_FLIGHT * dispatcher.FAILING_PART)} of {_IN_FLIGHT}",
            "webhooks.deliveries_in_flight_max",
            "they wait; those that answer do not",
        ),
        Share("time to answer", f"{_HOOKS.timeout_s:g} s", "webhooks.timeout_s", "tried again later"),
    ),
    "The node": (
        Share(
            "recordings",
            f"{_SETTINGS.recordings_max}",
            "limits.recordings_max",
            "503 `overloaded` with Retry-After; held calls wait",
        ),
        Share(
            "cores that recordings take",
            f"{_SETTINGS.cpu_share_max:g} of all",
            "limits.cpu_share_max",
            "the same, for another one",
        ),
        Share(
            "memory that is left",
            f"at least {_SETTINGS.memory_free_bytes_min // _KIB // 1024} MiB",
            "limits.memory_free_bytes_min",
            "the same",
        ),
        Share(
            "room on the spools' disk",
            f"at least {_SETTINGS.spool_free_bytes_min // _KIB // 1024} MiB",
            "limits.spool_free_bytes_min",
            "503 `disk_almost_full`",
        ),
        Share("connections", f"{_SETTINGS.connections_max}", "limits.connections_max", _MAKES_WAY),
        Share(
            "descriptors kept for the database, the store and workers",
            f"{DESCRIPTORS_RESERVED}",
            None,
            "fewer connections, where the system allows few descriptors",
        ),
        Share(_STREAMS, f"{EVENT_STREAMS_MAX}", None, "503 `too_many_streams`"),
        Share(
            "room sockets that have not said whose they are",
            f"{room.UNKNOWN_SOCKETS_MAX}",
            None,
            "the one that has been silent longest is cut",
        ),
        Share("webhooks", f"{registrations.WEBHOOKS_MAX}", None, "409 `too_many_webhooks`"),
        Share(
            "requests with an Idempotency-Key being answered",
            f"{idempotency.IN_FLIGHT_MAX}",
            None,
            "409 `request_in_progress`",
        ),
    ),
}

_HEAD = """\
# Limits

What one caller can take of a server, and what happens beyond it. Written from the code by
`python -m recorder.limits_page > docs/limits.md`; a test holds the page to it. What is set in
[settings.md](settings.md) is shown with its default.

- An IPv4 address has one share, and so has an IPv6 network of 64 bits, which one host can have all of.
- Behind a reverse proxy that `server.trusted_proxies` names, the address is the caller's own; without that
  name everybody behind it has one share together, its connections among it.
- A token is counted by whose it is as soon as it was good once. Until then, and when it is wrong, its address
  pays.
- Each share is refused by itself: nobody who is within theirs is told no because somebody else is not.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(of, shares) for of, shares in SHARES.items())])


def _section(of: str, shares: tuple[Share, ...]) -> str:
    rows = "".join(map(_row, shares))
    return f"## {of}\n\n| what | at most | setting | beyond it |\n|---|---|---|---|\n{rows}"


def _row(share: Share) -> str:
    setting = f"`{share.setting}`" if share.setting else ""
    return f"| {share.what} | {share.bound} | {setting} | {share.beyond} |\n"


if __name__ == "__main__":
    sys.stdout.write(page())
