"""Ports for the servers that tests start."""

import os
import random
import socket

# Below what systems give out by themselves (32768 and up): no connection takes one before it is bound.
_FIRST, _LAST = 10_000, 32_000

# Of loopback, for each test process another: what is bound there is in nobody else's way.
OWN_ADDRESS = f"127.77.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"


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
