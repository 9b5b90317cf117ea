"""When media was captured, who is active, and up to which instant a recording is complete. Pure.

Imports media.handover; imported by media.render.
"""
