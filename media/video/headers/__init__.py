"""Headers of coded pictures, read before any decoder sees them, one module a codec. Pure.

Imports nothing; imported by media.video.
"""
