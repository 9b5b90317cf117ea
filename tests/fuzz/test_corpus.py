"""Input that fuzzing found worth keeping, fed again to what reads it; twice as much takes twice as long."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parents[1] / "corpus"
CORPUS_BYTES_MAX = 256 * 1024  # small enough for every checkout

# The worst of each kind that a reader meets: one piece, repeated.
REPEATED: dict[str, tuple[bytes, bytes, bytes]] = {  # before, again and again, behind
    "sdp_offer": (b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", b"a=rtcp-fb:96 nack\r\n", b""),
    "sdp_fragment": (b"a=ice-ufrag:abcd\r\n", b"a=candidate:1 1 udp 1 192.0.2.1 6 typ host\r\n", b""),
    "rtcp": (b"", b"\x80\xc8\x00\x06" + b"\x00" * 24, b""),
    "room_message": (b'{"type":"say","text":', b"[", b""),
    "json_body": (b'{"metadata":{"a":"', b"\\u0041", b'"}}'),
    "query": (b"", b"external_id=a&", b""),
    "headers": (b"", b'"a", W/', b""),
    "spool_index": (b"", b"\x01" * 64, b""),
    "recorded_file": (b"", b"\x00\x00\x00\x08free", b""),
    "playlist": (b"", b"\x00\x00\x00\x08free", b""),
    "payload_format": (b"\x03\x03\xff\xff\x00", b"\x00", b""),  # empty elements of one AV1 packet
    "codec_header": (b"\x00", b"\x00\x00\x01\x67\x64", b""),  # parameter sets that end in their middle
    "stun_message": (b"\x00\xff\xff\x00\x01\xff\xe8\x21\x12\xa4\x42" + bytes(12), b"\x80\x01\x00\x00", b""),
    "dtls_records": (b"\x01\x00\xff\xff", b"\x17\xfe\xfd\x00\x01" + bytes(8), b""),
}
SMALL_BYTES, FACTOR = 16 * 1024, 4
NOISE_S = 0.02  # a machine that is busy; the worst whole input takes less than that and FACTOR times more


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_corpus_is_read_or_refused(name: str) -> None:
    files = sorted((CORPUS / name).iterdir())
    assert files, "a target has at least one input of its kind"
    for file in files:
        data = file.read_bytes()
        for cut in (len(data), len(data) // 2, 1, 0):
            TARGETS[name](data[:cut])


def test_the_corpus_is_small() -> None:
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) <= CORPUS_BYTES_MAX


@pytest.mark.parametrize("name", sorted(REPEATED))
def test_reading_takes_time_in_proportion(name: str) -> None:
    small, large = (
        _least_s(TARGETS[name], _repeated(name, size)) for size in (SMALL_BYTES, FACTOR * SMALL_BYTES)
    )
    assert large <= 2.5 * FACTOR * small + NOISE_S, (small, large)


def _repeated(name: str, size: int) -> bytes:
    before, piece, behind = REPEATED[name]
    return before + piece * (size // len(piece)) + behind


def _least_s(target: Callable[[bytes], None], data: bytes) -> float:
    """CPU time of the quickest of some runs: what others do meanwhile is in none of it."""
    times = []
    for _ in range(5):
        began = time.process_time()
        target(data)
        times.append(time.process_time() - began)
    return min(times)
