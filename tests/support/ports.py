"""Ports for the servers that tests start."""

import random
import socket

# Below what systems give out by themselves (32768 and up): no connection takes one before it is bound.
_FIRST, _LAST = 10_000, 32_000


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now, picked at random: test processes beside pick others."""
    while True:
        port = random.SystemRandom().randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
