"""The rules of a room: events in, effects out, time as an argument. Pure.

Imports the kernel alone; imported by signaling.room.
"""
