"""The render thread of a recording: streams in, scene and sound over time, fragments out.

Imports audio, video, sync, mux and handover; imported by media.engine alone.
"""
