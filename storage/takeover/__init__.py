"""What lies beside an upload so that another node can finish it: journal, lease, orphans, restoring.

Imports spool and upload_plan; imported by upload.
"""
