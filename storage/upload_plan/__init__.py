"""The upload plan: the next action, decided from an upload's state and the spool's index. Pure.

Imports storage.spool.format; imported by takeover, finalise and upload.
"""
