"""Pictures: decoded, scaled, laid out on the canvas, labelled, and coded as H.264.

Imports media.handover and media.isobmff; imported by media.render and media.mux.
"""
