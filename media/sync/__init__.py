"""Synchronisation: capture times, activity of publishers, and when a recording is complete up to. Pure.

Imports media.handover; imported by media.render.
"""
