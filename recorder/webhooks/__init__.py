"""Webhooks: recordings and interactions told to registered addresses, at least once and in order.

An event is written into the outbox in the transaction that makes it true (recorder.database.outbox): it is
told if and only if it happened, also after a crash. Formats follow the Standard Webhooks specification
(https://www.standardwebhooks.com).
"""
