"""Takeover: what lies beside an upload so that another node can finish it, and how one does.

Imports spool and upload_plan; imported by upload.
"""
