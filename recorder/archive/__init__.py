"""The archive: recordings on their way from the spool to the store, and whether the store may be used.

Imports storage and media.isobmff; imported by recording and the composition.
"""
