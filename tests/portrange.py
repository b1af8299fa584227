"""A range of free ports for a whole system."""

from __future__ import annotations

import random
import socket

from ops.system.layout import PAYMENTS, SERVICES, SINK, SMTP


def free_base() -> int:
    """A port base whose services, provider and sink find their ports free."""
    offsets = [*SERVICES.values(), PAYMENTS, SMTP, SINK]
    for _ in range(100):
        base = random.randrange(20_000, 30_000, 50)
        if all(_free(base + offset) for offset in offsets):
            return base
    raise RuntimeError("no range of free ports was found between 20,000 and 30,000")


def _free(port: int) -> bool:
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
