"""A range of free ports for a whole system."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack, suppress

from ops.cli.hosting import KAFKA, KAFKA_CONTROLLER, POSTGRES
from ops.stack.ports import HOST
from ops.system.layout import PAYMENTS, SERVICES, SINK, SMTP

#: Tests that run at the same time never choose the same range.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
BASES = range(20_000 + 100 * WORKER, 30_000, 100 * WORKERS)
#: Distances from the base at which a system and its stack listen.
OFFSETS = (*SERVICES.values(), PAYMENTS, SMTP, SINK, POSTGRES, KAFKA, KAFKA_CONTROLLER)


def free_base() -> int:
    """A base whose ports are all free right now, below those that the system gives to clients."""
    for base in random.sample(BASES, len(BASES)):
        with ExitStack() as held, suppress(OSError):
            for offset in OFFSETS:
                held.enter_context(socket.create_server((HOST, base + offset)))
            return base
    raise RuntimeError(
        f"no range of free ports was found between {BASES.start:,} and {BASES.stop:,}"
    )
