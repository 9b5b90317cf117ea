"""HLS playlists (RFC 8216) over the one recorded file. Pure.

Imports media.isobmff; imported by recorder.recording.
"""
