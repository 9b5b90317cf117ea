"""`bystander doctor`: what is wrong with a machine and its settings, each with what mends it.

Imports settings, stores, node, storage and the worker's walls; imported by the command alone.
"""
