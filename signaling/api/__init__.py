"""The REST surface, a module a resource.

Imports signaling.routes, signaling.http and signaling.room; imported by signaling.app.
"""
