"""A fragmented recording made an ordinary ("progressive") MP4 without moving a byte of its media. Pure.

Imports media.isobmff; imported by media.hls and recorder.archive.
"""
