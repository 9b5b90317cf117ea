"""Encoded frames and the bounded queue on which they pass from the event loop to the render thread.

The lowest folder of media: imports the kernel alone; everybody in media may import it.
"""
