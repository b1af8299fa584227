"""The local stack: the same real Kafka and Postgres for the demo, the tests and the benchmarks.

    from ops import stack

    with stack.start(Path(".oms")) as running:
        running.kafka, running.postgres, running.tier

The first tier that serves is taken: addresses from OMS_KAFKA and OMS_POSTGRES, else containers,
else the servers that the installed packages carry.
"""

from ops.stack.databases import create_database, drop_database
from ops.stack.errors import StackError
from ops.stack.local import DEFAULT_DATA, TIERS, Ports, Stack, start
from ops.stack.topics import create_topics

__all__ = [
    "DEFAULT_DATA",
    "TIERS",
    "Ports",
    "Stack",
    "StackError",
    "create_database",
    "create_topics",
    "drop_database",
    "start",
]
