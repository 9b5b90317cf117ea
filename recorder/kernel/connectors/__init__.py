"""Connectors as values: what they record from, and how that goes. Imports recorder.kernel alone."""
