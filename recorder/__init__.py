"""What should happen and when: conversations, recordings, settings, lifecycle, app and CLI.

The kernel that every other package may import is `ids`, `values`, `clock`, `errors` and `limits`:
standard library and msgspec only. Everything else in here composes the other packages.
"""
