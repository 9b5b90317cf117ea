"""Reading and answering an SDP takes time in proportion to it, whatever it is made of."""

import time
from collections.abc import Callable

import pytest

from media.sdp import parse
from media.sdp.answer import write_answer
from media.sdp.offer import read_fragment, read_offer
from media.sdp.parse import ATTRIBUTES_PER_SECTION_MAX, FORMATS_PER_SECTION_MAX
from media.sdp.sections import LAYERS_MAX
from media.sdp.transport import Fingerprint, IceParameters, LocalTransport
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import SDP_BYTES_MAX

LOCAL = LocalTransport(IceParameters("ufrg", "p" * 22), (Fingerprint("sha-256", "AB:CD"),), ())
SESSION = "v=0\ns=-\na=group:BUNDLE 0\n"
DIGEST = ":".join(["00"] * 32)
TRANSPORT = f"a=ice-ufrag:abcd\na=ice-pwd:{'x' * 22}\na=fingerprint:sha-256 {DIGEST}\na=setup:actpass\n"
TYPES = " ".join(str(number) for number in range(128))
SMALL = 2_000  # lines or formats: some milliseconds


def video(formats: str, lines: str = "", mid: str = "0", direction: str = "sendonly") -> str:
    head = f"m=video 9 UDP/TLS/RTP/SAVPF {formats}\na={direction}\na=rtcp-mux\na=mid:{mid}\n"
    return head + "a=rtpmap:96 VP8/90000\n" + TRANSPORT + lines


def lines_of(template: str) -> Callable[[int], str]:
    """An offer with the line so often; `{n}` is another number each time, `{t}` another payload type."""
    return lambda count: (
        SESSION + video(TYPES, "".join(template.format(n=n, t=n % 128) + "\n" for n in range(count)))
    )


SHAPES: dict[str, Callable[[int], str]] = {
    "formats with feedback": lambda count: SESSION + video("96 " * count + "96", "a=rtcp-fb:96\n" * count),
    "formats": lambda count: SESSION + video(" ".join(str(n) for n in range(count))),
    "formats that are described": lambda count: (
        SESSION
        + video(
            " ".join(f"x{n}" for n in range(count)) + " 96",
            "".join(f"a=rtpmap:{n % 128} VP8/90000\n" for n in range(count)),
        )
    ),
    "sections": lambda count: (
        SESSION
        + video("96")
        + "".join(video("96", mid=str(n), direction="recvonly") for n in range(count // 10))
    ),
    "a bundle of many": lambda count: (
        SESSION + f"a=group:BUNDLE {' '.join(str(n) for n in range(count))}\n" + video("96") + video("96")
    ),
    "parameters in one line": lambda count: SESSION + video("96", f"a=fmtp:96 {'a=b;' * count}\n"),
    "simulcast in one line": lambda count: (
        SESSION + video("96", f"a=simulcast:send {'x;' * count}\n" + "a=rid:x send\n" * count)
    ),
    **{
        template: lines_of(template)
        for template in (
            "a=rtpmap:{t} VP8/90000",
            "a=rtpmap:{t} rtx/90000",
            "a=fmtp:{t} apt=96",
            "a=rtcp-fb:* nack",
            "a=rtcp-fb:{t} x{n}",
            "a=extmap:{t} urn:x",
            "a=ssrc:{n} cname:x",
            "a=ssrc-group:FID {n} 1",
            "a=rid:r{n} send",
            "a=candidate:1 1 udp 1 192.0.2.1 {t} typ host",
            "a=fingerprint:sha-256 " + DIGEST,
            "a=x{n}",
            "b={n}",
        )
    },
}


def answered(text: str) -> str:
    return write_answer(read_offer(text), LOCAL, session_id=1)


def cpu_s(work: Callable[[str], object], text: str) -> float:
    """The least processor time of three tries; what else the machine does shows in none of them."""
    tries = []
    for _ in range(3):
        began = time.thread_time()
        work(text)
        tries.append(time.thread_time() - began)
    return min(tries)


@pytest.fixture
def unbounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No limits, so that it shows how the work grows and not where it is refused."""
    for name in ("LINES_MAX", "SECTIONS_MAX", "ATTRIBUTES_PER_SECTION_MAX", "FORMATS_PER_SECTION_MAX"):
        monkeypatch.setattr(parse, name, 1 << 30)
    monkeypatch.setattr(parse, "SDP_BYTES_MAX", 1 << 30)


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize("shape", SHAPES)
def test_four_times_the_offer_takes_four_times_as_long(shape: str) -> None:
    make = SHAPES[shape]
    small, large = make(SMALL), make(4 * SMALL)
    ratio = cpu_s(answered, large) / max(cpu_s(answered, small), 1e-4)
    if ratio > 8:  # half way to the square; once more, against a machine that stumbled
        ratio = cpu_s(answered, large) / max(cpu_s(answered, small), 1e-4)
    assert ratio < 8


@pytest.mark.usefixtures("unbounded")
@pytest.mark.parametrize(
    "line",
    [
        "m=audio 9 RTP/SAVPF 0",
        "a=candidate:1 1 udp 1 192.0.2.1 9 typ host",
        "a=ice-ufrag:abcd",
        "a=mid:0",
        "m=audio 9 x" + " 1" * 50,
    ],
)
def test_four_times_the_fragment_takes_four_times_as_long(line: str) -> None:
    begin = f"a=ice-pwd:{'x' * 22}\na=ice-ufrag:abcd\n"
    small, large = (begin + f"{line}\n" * (SMALL * times) for times in (1, 4))
    assert cpu_s(read_fragment, large) / max(cpu_s(read_fragment, small), 1e-4) < 8


@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_offer_is_answered_or_refused(shape: str) -> None:
    """At the limits, each shape filled up to the largest SDP: nothing but a refusal, and a bounded answer."""
    make, count = SHAPES[shape], 16
    while len(make(2 * count)) <= SDP_BYTES_MAX:
        count *= 2
    try:
        answer = answered(make(count))
    except BystanderError as error:
        assert error.code == "malformed_sdp"
    else:
        assert len(answer) < 2 * SDP_BYTES_MAX


class TestBounds:
    @pytest.mark.parametrize(("count", "read"), [(0, True), (1, False)])
    def test_attributes(self, count: int, read: bool) -> None:
        own = video("96").count("a=")
        text = SESSION + video("96", "a=x\n" * (ATTRIBUTES_PER_SECTION_MAX - own + count))
        assert _is_read(text) == read

    @pytest.mark.parametrize(("count", "read"), [(0, True), (1, False)])
    def test_formats(self, count: int, read: bool) -> None:
        others = " ".join(f"x{n}" for n in range(FORMATS_PER_SECTION_MAX - 1 + count))
        assert _is_read(SESSION + video(f"96 {others}")) == read

    def test_a_format_said_again_is_answered_once(self) -> None:
        assert "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" in answered(SESSION + video("96 96 96"))

    def test_a_format_of_thousands_of_digits_is_none(self) -> None:
        assert "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" in answered(SESSION + video("96 " + "9" * 5000))

    def test_layers(self) -> None:
        rids = "".join(f"a=rid:r{n} send\n" for n in range(LAYERS_MAX + 1))
        offer = read_offer(SESSION + video("96", "a=simulcast:send r0;r1\n" + rids))
        assert offer.media[0].rids == tuple(f"r{n}" for n in range(LAYERS_MAX))


def _is_read(text: str) -> bool:
    try:
        read_offer(text)
    except BystanderError as error:
        assert error.code == "malformed_sdp"
        return False
    return True
