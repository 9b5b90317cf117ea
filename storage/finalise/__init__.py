"""Finalising: a whole recording becomes an object, by a hard link or as a progressive MP4.

Imports spool and upload_plan; imported by upload.
"""
