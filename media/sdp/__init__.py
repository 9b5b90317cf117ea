"""SDP as values and text: an offer judged, an answer written. Pure.

Imports media.rtp.formats and media.handover; imported by media.webrtc.
"""
