"""What an operation is: its route, who may call it, how it is admitted, and what stands around its handler.

Imports signaling.http; imported by api, whip and docs.
"""
