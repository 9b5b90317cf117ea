"""Connectors: calls on other systems, which the recorder joins by itself to receive and never to send.

Signalling alone: what is offered goes to a recording's worker as any publisher's offer does. Imports
recorder.kernel.
"""
