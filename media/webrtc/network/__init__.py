"""The network under ICE: which addresses and ports are ours, TURN and STUN servers by URL, streams of TCP.

Event loop only. Knows nothing of ICE's own state; imported by media.webrtc.
"""
