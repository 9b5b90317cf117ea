"""Coded pictures and sound, cut into fragments.

Imports media.isobmff and the coders; imported by media.render.
"""
