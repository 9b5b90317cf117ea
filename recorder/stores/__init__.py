"""Stores by name: which there are by the settings, and in which of them something lies.

Imports settings, database and storage; imported by archive, deletion and the commands.
"""
