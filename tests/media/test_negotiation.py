"""Offers of real browsers, offers that cannot be served, and offers that are no SDP at all."""

import re
from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from media.handover.encoded_frame import Codec
from media.sdp.answer import write_answer, write_fragment
from media.sdp.offer import Offer, read_fragment, read_offer
from media.sdp.transport import Fingerprint, IceParameters, LocalTransport
from recorder.kernel.errors import BystanderError
from recorder.kernel.limits import SDP_BYTES_MAX, STREAMS_PER_PUBLISHER_MAX
from tests.support.aiortc_peer import AiortcPeer

OFFERS = Path(__file__).parent / "offers"
CHROMIUM = (OFFERS / "chromium.sdp").read_bytes().decode()
SIMULCAST = (OFFERS / "chromium-simulcast.sdp").read_bytes().decode()
NO_SSRC = (OFFERS / "chromium-h264-no-ssrc-data-channel.sdp").read_bytes().decode()

LOCAL = LocalTransport(
    IceParameters("ufrg", "p" * 22),
    (Fingerprint("sha-256", ":".join(["AB"] * 32)),),
    ("1 1 udp 2130706431 127.0.0.1 5000 typ host",),
)
TRANSPORT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:"
    + "x" * 22
    + "\r\na=fingerprint:sha-256 "
    + ":".join(["00"] * 32)
    + "\r\n"
)
SESSION = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"


def section(
    *,
    kind: str = "audio",
    mid: str | None = "0",
    lines: tuple[str, ...] = ("a=rtpmap:111 opus/48000/2",),
    formats: str = "111",
    port: int = 9,
    setup: str = "actpass",
    direction: str = "sendonly",
    mux: bool = True,
) -> str:
    head = [f"m={kind} {port} UDP/TLS/RTP/SAVPF {formats}", f"a=setup:{setup}", f"a={direction}"]
    head += [f"a=mid:{mid}"] if mid is not None else []
    head += ["a=rtcp-mux"] if mux else []
    return "\r\n".join([*head, *lines]) + "\r\n" + TRANSPORT


def answer(offer: Offer) -> str:
    return write_answer(offer, LOCAL, session_id=1)


def test_stereo_is_asked_for_where_it_is_wanted() -> None:
    offer = read_offer(SESSION + section())
    asked = write_answer(offer, LOCAL, session_id=1, stereo=True)
    assert "useinbandfec=1;stereo=1\r\n" in asked
    assert "stereo" not in write_answer(offer, LOCAL, session_id=1)


def code_of(text: str) -> tuple[str, int]:
    with pytest.raises(BystanderError) as caught:
        read_offer(text)
    return caught.value.code, caught.value.status


class TestBrowsers:
    def test_chromium(self) -> None:
        offer = read_offer(CHROMIUM)
        audio, video = offer.media
        assert {payload.codec for payload in audio.payloads.values()} == {Codec.OPUS}
        codecs = [payload.codec for payload in video.payloads.values()]
        assert set(codecs) == {Codec.VP8, Codec.H264, Codec.VP9, Codec.AV1}
        assert codecs[0] is Codec.VP8, "what senders take"
        assert set(codecs[-2:]) == {Codec.VP9, Codec.AV1}
        assert all(p.nack and p.pli and p.fir and p.retransmission for p in video.payloads.values())
        assert len(audio.ssrcs) == len(video.ssrcs) == len(video.retransmission_ssrcs) == 1
        assert list(video.retransmission_ssrcs.values()) == list(video.ssrcs)
        assert video.mid_extension and video.transport_cc_extension and audio.transport_cc_extension
        assert not offer.peer_is_dtls_client
        assert offer.bundled

    def test_the_answer_can_be_read_and_promises_only_what_was_offered(self) -> None:
        offered, answered = (
            SessionDescription.parse(CHROMIUM),
            SessionDescription.parse(answer(read_offer(CHROMIUM))),
        )
        assert [group.items for group in answered.group] == [["0", "1"]]
        for ours, theirs in zip(answered.media, offered.media, strict=True):
            assert (ours.kind, ours.rtp.muxId, ours.direction) == (theirs.kind, theirs.rtp.muxId, "recvonly")
            assert ours.rtcp_port is None
            assert ours.dtls is not None
            assert ours.dtls.role == "client"
            known = {codec.payloadType: codec for codec in theirs.rtp.codecs}
            assert set(ours.fmt) <= set(theirs.fmt)
            for codec in ours.rtp.codecs:
                assert codec.name == known[codec.payloadType].name
                assert all(
                    feedback in known[codec.payloadType].rtcpFeedback for feedback in codec.rtcpFeedback
                )
            extensions = {(e.id, e.uri) for e in theirs.rtp.headerExtensions}
            assert {(e.id, e.uri) for e in ours.rtp.headerExtensions} <= extensions
        first, second = answered.media
        assert len(first.ice_candidates) == 1
        assert first.ice_candidates_complete
        assert second.ice_candidates == []

    def test_simulcast_is_answered_with_all_layers(self) -> None:
        offer = read_offer(SIMULCAST)
        assert offer.media[1].rids == ("q", "h", "f")
        assert offer.media[1].rid_extension and offer.media[1].repaired_rid_extension
        assert "a=simulcast:recv q;h;f\r\n" in answer(offer)
        assert answer(offer).count("a=rid:") == 3

    def test_without_ssrcs_and_with_a_data_channel(self) -> None:
        offer = read_offer(NO_SSRC)
        assert [media.ssrcs for media in offer.media] == [(), ()]
        assert {p.codec for p in offer.media[1].payloads.values()} == {Codec.H264}
        text = answer(offer)
        assert "m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n" in text
        assert "a=group:BUNDLE 0 1\r\n" in text

    async def test_aiortc(self) -> None:
        async with AiortcPeer() as publisher:
            offer = read_offer(await publisher.offer())
        assert [media.video for media in offer.media] == [False, True]


class TestSections:
    @pytest.mark.parametrize(
        ("setup", "ours"), [("actpass", "active"), ("passive", "active"), ("active", "passive")]
    )
    def test_dtls_roles(self, setup: str, ours: str) -> None:
        offer = read_offer(SESSION + section(setup=setup))
        assert f"a=setup:{ours}\r\n" in answer(offer)
        assert offer.peer_is_dtls_client == (setup == "active")

    def test_sendrecv_and_no_direction_are_answered_recvonly(self) -> None:
        for direction in ("sendrecv", "x-none"):
            text = answer(read_offer(SESSION + section(direction=direction)))
            assert "a=recvonly" in text

    @pytest.mark.parametrize(
        ("parameters", "accepted"),
        [
            ("", True),
            ("profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1", True),
            ("PROFILE-LEVEL-ID=4D001F; packetization-mode=0", True),
            ("profile-level-id=640033;packetization-mode=1", True),
            ("profile-level-id=f4001f;packetization-mode=1", False),
            ("profile-level-id=6e001f;packetization-mode=1", False),
            ("profile-level-id=42e01f;packetization-mode=2", False),
            ("profile-level-id=42e0", False),
        ],
    )
    def test_h264_is_taken_where_it_can_be_decoded(self, parameters: str, accepted: bool) -> None:
        lines = ("a=rtpmap:97 H264/90000", *((f"a=fmtp:97 {parameters}",) if parameters else ()))
        text = SESSION + section(kind="video", formats="97", lines=lines)
        if accepted:
            assert read_offer(text).media[0].payloads[97].codec is Codec.H264
            assert "a=fmtp:97 " in answer(read_offer(text)) or not parameters
        else:
            assert code_of(text) == ("unsupported_codecs", 422)

    def test_sections_that_send_nothing_are_rejected_and_name_the_same_transport(self) -> None:
        text = SESSION + "a=group:BUNDLE 0\r\n" + section() + section(mid="1", direction="recvonly")
        first, second = re.split(r"^m=", answer(read_offer(text)), flags=re.MULTILINE)[1:]
        assert second.startswith("audio 0 ")
        for name in ("ice-ufrag", "ice-pwd", "fingerprint", "setup"):
            found = re.search(rf"^a={name}:.*$", first, re.MULTILINE)
            assert found is not None
            assert found[0] in second
        assert "a=candidate" not in second

    def test_one_section_needs_neither_bundle_nor_mid(self) -> None:
        offer = read_offer(SESSION + section(mid=None) + section(mid=None, direction="inactive"))
        assert len(offer.media) == 1
        assert "BUNDLE" not in answer(offer)
        assert "a=mid" not in answer(offer)

    @pytest.mark.parametrize("over", [0, 1])
    def test_streams_at_the_limit_and_over_it(self, over: int) -> None:
        mids = [str(mid) for mid in range(STREAMS_PER_PUBLISHER_MAX + over)]
        text = SESSION + f"a=group:BUNDLE {' '.join(mids)}\r\n" + "".join(section(mid=mid) for mid in mids)
        if over:
            assert code_of(text) == ("too_many_streams", 422)
        else:
            assert len(read_offer(text).media) == STREAMS_PER_PUBLISHER_MAX

    @pytest.mark.parametrize(
        ("second", "code"),
        [
            (section(kind="video", mid="1", lines=("a=rtpmap:111 H265/90000",)), "unsupported_codecs"),
            (section(mid="1", lines=("a=rtpmap:0 G722/8000",), formats="0"), "unsupported_codecs"),
            (section(mid="2"), "bundle_required"),
            (section(mid="1", mux=False), "unsupported_transport"),
        ],
    )
    def test_what_would_be_lost_in_silence_is_refused(self, second: str, code: str) -> None:
        assert code_of(SESSION + "a=group:BUNDLE 0 1\r\n" + section() + second) == (code, 422)

    @pytest.mark.parametrize(
        ("encoding", "parameters", "codec"),
        [
            ("VP9/90000", "", Codec.VP9),
            ("VP9/90000", "profile-id=0", Codec.VP9),
            ("VP9/90000", "profile-id=2", None),
            ("AV1/90000", "level-idx=5;profile=0;tier=0", Codec.AV1),
            ("AV1/90000", "profile=1", None),
        ],
    )
    def test_vp9_and_av1(self, encoding: str, parameters: str, codec: Codec | None) -> None:
        lines = (f"a=rtpmap:45 {encoding}", *((f"a=fmtp:45 {parameters}",) if parameters else ()))
        text = SESSION + section(kind="video", formats="45", lines=lines)
        if codec is None:
            assert code_of(text) == ("unsupported_codecs", 422)
            return
        assert read_offer(text).media[0].payloads[45].codec is codec
        assert lines[0] in answer(read_offer(text))
        assert ("a=fmtp:45" in answer(read_offer(text))) == bool(parameters)

    def test_transport_attributes_may_stand_at_the_session(self) -> None:
        text = SESSION + "a=ice-lite\r\n" + TRANSPORT + section().replace(TRANSPORT, "")
        assert read_offer(text).ice == IceParameters("abcd", "x" * 22, lite=True)


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", ("malformed_sdp", 400)),
            ("hello", ("malformed_sdp", 400)),
            ("v=0\r\nhello", ("malformed_sdp", 400)),
            ("v=0\r\na=x\x00y\r\n", ("malformed_sdp", 400)),
            ("v=0\r\n" + "a=x\r\n" * 5000, ("malformed_sdp", 400)),
            ("v=0\r\n" + "a=" + "x" * SDP_BYTES_MAX, ("sdp_too_large", 413)),
            ("v=0\r\n" + "a=" + "\u20ac" * (SDP_BYTES_MAX // 3), ("sdp_too_large", 413)),
            (SESSION, ("no_media_sent", 422)),
            (SESSION + "m=audio x UDP/TLS/RTP/SAVPF 111\r\n", ("malformed_sdp", 400)),
            (SESSION + "m=audio 65536 UDP/TLS/RTP/SAVPF 111\r\n", ("malformed_sdp", 400)),
            (SESSION + section(direction="recvonly"), ("no_media_sent", 422)),
            (SESSION + section(direction="inactive"), ("no_media_sent", 422)),
            (SESSION + section(port=0), ("no_media_sent", 422)),
            (SESSION + section(mux=False), ("unsupported_transport", 422)),
            (SESSION + section(setup="holdconn"), ("malformed_sdp", 400)),
            (SESSION + section(mid="a b"), ("malformed_sdp", 400)),
            (SESSION + section(lines=("a=rtpmap:x opus/48000/2",)), ("malformed_sdp", 400)),
            (SESSION + section(lines=("a=rtpmap:0 PCMU/8000",), formats="0"), ("unsupported_codecs", 422)),
            (
                SESSION + section(kind="video", lines=("a=rtpmap:111 H265/90000",)),
                ("unsupported_codecs", 422),
            ),
            ((SESSION + section()).replace("a=ice-pwd", "a=x"), ("malformed_sdp", 400)),
            ((SESSION + section()).replace("sha-256", "md5"), ("malformed_sdp", 400)),
        ],
    )
    def test_each_has_its_code(self, text: str, expected: tuple[str, int]) -> None:
        assert code_of(text) == expected

    def test_the_largest_sdp_is_read(self) -> None:
        text = SESSION + section()
        text += "a=" + "x" * (SDP_BYTES_MAX - len(text) - 2)
        assert len(text) == SDP_BYTES_MAX
        assert len(read_offer(text).media) == 1

    @given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
    def test_any_text_is_answered_or_refused(self, text: str) -> None:
        _only_refused(text)
        _only_refused("v=0\r\n" + text)

    @given(st.data(), st.sampled_from([CHROMIUM, SIMULCAST, NO_SSRC]))
    def test_any_damage_to_a_real_offer_is_answered_or_refused(self, data: st.DataObject, offer: str) -> None:
        lines = offer.split("\r\n")
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(lines) - 1))
            match data.draw(st.sampled_from(["cut", "drop", "twice", "swap", "noise"])):
                case "cut":
                    lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
                case "drop":
                    lines[at] = ""
                case "twice":
                    lines.insert(at, lines[at])
                case "swap":
                    lines[at], lines[0] = lines[0], lines[at]
                case _:
                    lines[at] = lines[at][:4] + data.draw(st.text(max_size=10))
        _only_refused("\r\n".join(lines))


class TestFragments:
    def test_candidates(self) -> None:
        head = "a=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
        fragment = read_fragment(head + "a=candidate:1 1 udp 1 ::1 9 typ host\r\n")
        assert (fragment.ice, fragment.end_of_candidates) == (None, False)
        assert fragment.candidates == ("1 1 udp 1 ::1 9 typ host",)

    def test_a_restart_and_its_answer(self) -> None:
        fragment = read_fragment("a=ice-ufrag:wxyz\na=ice-pwd:" + "q" * 24 + "\na=end-of-candidates\n")
        assert fragment.ice == IceParameters("wxyz", "q" * 24)
        assert fragment.end_of_candidates
        ours = read_fragment(write_fragment(read_offer(CHROMIUM), LOCAL))
        assert ours.ice == LOCAL.ice
        assert ours.candidates == LOCAL.candidates

    @pytest.mark.parametrize("text", [CHROMIUM, "v=0\r\n", "a=end-of-candidates\r\nc=IN IP4 0.0.0.0\r\n"])
    def test_a_whole_description_is_no_fragment(self, text: str) -> None:
        with pytest.raises(BystanderError, match="malformed_sdp"):
            read_fragment(text)

    @given(st.text(max_size=100))
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        for fragment in (text, "a=" + text, "a=ice-ufrag:" + text):
            try:
                read_fragment(fragment)
            except BystanderError as error:
                assert error.code == "malformed_sdp"


def _only_refused(text: str) -> None:
    try:
        offer = read_offer(text)
    except BystanderError as error:
        assert error.status in (400, 413, 422)
        return
    written = answer(offer)
    assert all(re.match(r"[a-z]=", line) for line in written.split("\r\n")[:-1])
    assert written.count("m=") >= len(offer.media)
