"""RTP and RTCP packets as bytes: read and written. Pure.

The lowest folder of media.rtp; imports nothing of it.
"""
