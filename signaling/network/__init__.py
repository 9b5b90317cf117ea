"""The network side of requests: whose they are by address and proxy, and how many connections one may hold.

Imports signaling.http; imported by routes, room and app.
"""
