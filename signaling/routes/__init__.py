"""Operations: their routes, who may call them, how they are admitted, and what stands around a handler.

Imports signaling.http; imported by api, whip and docs.
"""
