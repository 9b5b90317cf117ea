"""What an upload does next, decided from its state and the spool's index. Pure.

Imports storage.spool.format; imported by takeover, finalise and upload.
"""
