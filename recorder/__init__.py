"""What should happen and when: conversations, recordings, settings, lifecycle, app and CLI.

`recorder.kernel` is what every other package may import: standard library and msgspec only. Everything
else in here uses the other packages; `recorder.app` composes them.
"""
