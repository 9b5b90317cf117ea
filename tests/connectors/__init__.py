"""Connectors, against the real systems that they record from."""
