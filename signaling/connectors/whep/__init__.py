"""WHEP: what media servers play, pulled by an offer of ours.

Imports signaling.connectors.
"""
