"""One publisher on the wire: ICE, DTLS and SRTP under a WHIP session, and the sockets that all of them share.

Event loop only; hands encoded frames to media.handover. Imported by media.engine.
"""
