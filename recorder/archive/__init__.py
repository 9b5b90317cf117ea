"""From the spool to the store: shipping, finalising, and whether the store may be used.

Imports storage and media.isobmff; imported by recording and the composition.
"""
