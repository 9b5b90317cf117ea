"""Plain RTP: streams that come to ports of ours without ICE or DTLS, perhaps with SRTP by given keys.

Event loop only. Imports media.webrtc for what every RTP session has; imported by media.engine.
"""
