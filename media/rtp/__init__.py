"""RTP and RTCP without any IO: bytes and `now_ns` in, frames and feedback out."""
