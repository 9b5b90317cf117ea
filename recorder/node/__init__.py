"""This node: its data directory, its secret, its logs.

Imports the kernel alone; everybody in recorder may import it.
"""
