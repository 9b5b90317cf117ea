"""WHIP (RFC 9725): how streams are published to a recording.

Imports signaling.routes and signaling.http; imported by signaling.app.
"""
