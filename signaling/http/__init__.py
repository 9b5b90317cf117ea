"""HTTP mechanics: bodies, ranges, problem documents, rate limits, signed links, idempotency, pages.

Imports the kernel and signaling.ports; imported by every other folder of signaling.
"""
