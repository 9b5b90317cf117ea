"""Walls around a worker: what a process that parses strangers' media must not be able to do.

Imports ctypes and the standard library alone; imported by recorder.worker.main.
"""
