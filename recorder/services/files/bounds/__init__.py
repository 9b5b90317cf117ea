"""What one sender may take of a node: room on its disk, time of its connections, turns of its scanner.

It imports archive and database; services.files imports it.
"""
