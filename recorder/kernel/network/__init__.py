"""Networks as values: addresses, where media sockets are and whom they may send to, the proxy for the rest.

Imports msgspec and the standard library alone.
"""
