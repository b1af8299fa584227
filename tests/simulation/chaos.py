"""What can go wrong, how often, and whether it did.

Each kind draws from a generator of its own, so that leaving one out does not change when the others strike first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from random import Random

#: Every kind of fault, by what it is done to.
KINDS = (
    # the database
    "store_unavailable",  # an operation fails and nothing was applied
    "commit_unknown",  # the commit is applied and its answer lost
    "commit_conflict",  # another writer was first
    "store_slow",  # an operation takes seconds while rows are locked
    "store_outage",  # a service's database is away for some seconds
    # the broker
    "publish_cut",  # a first part of a batch is appended, the rest is not
    "ack_lost",  # all is appended, the acknowledgement is lost
    "late_append",  # a request times out, and is appended afterwards
    "broker_refuses",  # a poll, a commit or a look-up fails
    "partitioned",  # a process and the broker do not reach each other for some seconds
    "rebalance",
    "duplicate",  # a record is appended again
    "offsets_reset",  # a consumer reads from the beginning again
    "record_lost",
    "topic_wiped",
    # processes
    "crash_point",  # a process dies at a labelled point
    "crash",  # a process dies anywhere
    "paused",  # a process stands still, is taken for dead, and goes on
    "twin",  # two processes of a service at once
    "clock_jump",  # a process's clock is wrong by up to 20 s
    # the outside
    "provider_error",
    "provider_lost_before",  # no answer, and nothing recorded
    "provider_lost_after",  # charged, and no answer
    "provider_slow",
    "mail_busy",
    "mail_slow",
    "mail_lost_after",  # the mail is taken, and the answer lost
    "webhook_down",
    "answer_lost",  # the service has answered, and the caller does not hear it
)


class Chaos:
    """Draws what strikes. ``active`` ends it; ``told`` is called with every strike."""

    def __init__(
        self, seed: int, kinds: Iterable[str], told: Callable[[str], None] = lambda _: None
    ) -> None:
        kinds = tuple(kinds)
        if unknown := set(kinds) - set(KINDS):
            raise ValueError(f"no such kinds of fault: {sorted(unknown)}")
        self.active = True
        self.fired: Counter[str] = Counter()
        self.random = {kind: Random(f"{seed}:{kind}") for kind in KINDS if kind in kinds}
        #: Some seeds are rougher than others, in each kind.
        self._rates = {kind: r.choice((0.5, 1.0, 3.0)) for kind, r in self.random.items()}
        self._told = told

    def strikes(self, kind: str, chance: float) -> Random | None:
        """The kind's generator, when it strikes now."""
        random = self.random.get(kind)
        if random is None or not self.active or random.random() >= chance * self._rates[kind]:
            return None
        self.fired[kind] += 1
        self._told(kind)
        return random


def kinds_of(seed: int) -> tuple[str, ...]:
    """The kinds that a seed plays with: some seeds few, some all, because faults can hide one another."""
    share = Random(f"{seed}:share").choice((0.25, 0.5, 0.75, 1.0))
    return tuple(kind for kind in KINDS if Random(f"{seed}:with {kind}").random() < share)
