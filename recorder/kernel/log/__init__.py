"""What log lines are about, said once by the task that works for it.

Imports the standard library alone; imported by whatever works for one recording, and by recorder.node.logs.
"""
