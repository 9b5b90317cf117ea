"""What holds for every test."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)  # the same examples on every machine
settings.load_profile("repeatable")
