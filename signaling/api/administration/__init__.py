"""Administration: keys, settings, usage, webhooks, health and the storage test.

Imports signaling.routes and signaling.http; imported by signaling.app.
"""
