"""A range of free ports for a whole system."""

from __future__ import annotations

import os

from ops.cli.hosting import KAFKA, KAFKA_CONTROLLER, POSTGRES
from ops.stack import ports
from ops.system.layout import PAYMENTS, SERVICES, SINK, SMTP

#: Tests that run at the same time never choose the same range.
WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
BASES = range(20_000 + 100 * WORKER, 30_000, 100 * WORKERS)
#: Distances from the base at which a system and its stack listen.
OFFSETS = (*SERVICES.values(), PAYMENTS, SMTP, SINK, POSTGRES, KAFKA, KAFKA_CONTROLLER)


def free_base() -> int:
    """A base whose ports are all free right now, below those that the system gives to clients."""
    return ports.free_base(BASES, OFFSETS)
