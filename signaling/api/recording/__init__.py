"""Recordings: started, watched, played, searched.

Imports signaling.routes and signaling.http; imported by signaling.app.
"""
