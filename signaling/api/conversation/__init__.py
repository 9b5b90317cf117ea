"""Conversations and what belongs to them: participants, interactions, decisions, messages, consent.

Imports signaling.routes and signaling.http; imported by signaling.app.
"""
