"""Ports for servers that come back on the one they had, after a kill -9 too.

A port from bind(0) is of the range out of which the kernel also serves outgoing connections: once the server is gone,
anybody's connection may take it. So these are of below that range.
"""

import pathlib
import random
import socket

RANGE = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
FIRST = 10_000
TRIES = 1_000


def free_port():
    """A port of 127.0.0.1 at which nobody listens now."""
    end = int(RANGE.read_text().split()[0])
    for _ in range(TRIES):
        port = random.randrange(FIRST, end)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no port of 127.0.0.1 from {FIRST} to {end - 1} is free")
