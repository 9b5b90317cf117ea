"""Depacketizers: from RTP payloads to whole coded frames, one module a payload format. Pure.

Imports media.rtp.wire; imported by media.rtp.
"""
