"""What callers ask beside recordings: conversations, messages, consent, history, keys, entry points.

Imports recording, supervision and database; imported by the composition alone.
"""
