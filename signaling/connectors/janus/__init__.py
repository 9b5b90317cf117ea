"""Janus: rooms of its VideoRoom plugin, by its API over WebSockets.

Imports signaling.connectors.
"""
