"""`bystander check`: whether a recording is whole, and how far its sound and pictures are apart.

Imports media.isobmff; imported by recorder.cli and recorder.demo.
"""
