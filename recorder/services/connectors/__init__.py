"""Connectors of conversations: begun with their interactions, and connected while something is recorded.

Imports recorder.services.recording and what lies below; imported by recorder.composition.
"""
