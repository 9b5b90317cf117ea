"""Conversations, recordings, settings and their storage as one product: what should happen, and when.

`recorder.kernel` is what every other package may import: standard library and msgspec only. Everything
else in here uses the other packages; `recorder.app` composes them.
"""
