"""The audit log: acts as a chain of entries, each holding the hash of the one before.

Imports database, node, storage and the kernel; imported by services, the composition and commands.
"""
