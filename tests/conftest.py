"""What holds for every test."""

from hypothesis import settings

# The same examples on every machine, and no verdict by the clock: a machine may be slow.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
