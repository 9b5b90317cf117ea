"""One recording's life: its state machine, the actor that performs it, the registry of those that live.

Imports worker_pool, archive, database, node, settings; imported by supervision, services, the composition.
"""
