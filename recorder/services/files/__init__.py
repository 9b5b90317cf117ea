"""Files of conversations, snapshots and backgrounds: received here, checked, and brought into the store.

They import services.conversation's terms, deletion, archive and database; nothing of recordings.
"""
