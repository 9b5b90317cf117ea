"""The description of a receiver of plain RTP (RFC 8866), for whoever sends to it. Pure."""

from ipaddress import ip_address

from recorder.kernel.connectors.source import RtpCodec, RtpSource, RtpStream

_ENCODINGS = {
    RtpCodec.OPUS: "opus/48000/2",
    RtpCodec.VP8: "VP8/90000",
    RtpCodec.VP9: "VP9/90000",
    RtpCodec.H264: "H264/90000",
    RtpCodec.AV1: "AV1/90000",
}


def write_description(source: RtpSource, address: str) -> str:
    """Where to send, what, and with `a=crypto` the key that reports back are protected with."""
    family = f"IP{ip_address(address).version}"
    lines = ["v=0", f"o=- 1 1 IN {family} {address}", "s=-", f"c=IN {family} {address}", "t=0 0"]
    for stream in source.streams:
        lines += _section(source, stream)
    return "\r\n".join(lines) + "\r\n"


def _section(source: RtpSource, stream: RtpStream) -> list[str]:
    kind = "audio" if stream.codec is RtpCodec.OPUS else "video"
    protocol = "RTP/AVPF" if source.srtp is None else "RTP/SAVPF"
    number = stream.payload_type
    lines = [f"m={kind} {stream.port} {protocol} {number}", "a=recvonly"]
    lines.append("a=rtcp-mux" if source.rtcp_mux else f"a=rtcp:{stream.port + 1}")
    lines.append(f"a=rtpmap:{number} {_ENCODINGS[stream.codec]}")
    if kind == "video":
        lines.append(f"a=rtcp-fb:{number} nack pli")
    if stream.codec is RtpCodec.H264:
        lines.append(f"a=fmtp:{number} packetization-mode=1")
    if source.srtp is not None and source.srtp.key_back is not None:
        lines.append(f"a=crypto:1 {source.srtp.suite.value} inline:{source.srtp.key_back}")
    return lines
