"""Plain RTP: what a sender is told, and a session that waits for it.

Imports signaling.connectors.
"""
