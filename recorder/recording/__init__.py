"""One recording's life: its state machine, the actor that performs it, and what callers ask of it.

Imports worker_pool, archive and database; imported by supervision, services and the composition.
"""
