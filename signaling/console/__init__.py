"""The console: its pages, and how somebody signs in to them.

Imports signaling.routes and signaling.http; imported by signaling.app.
"""
