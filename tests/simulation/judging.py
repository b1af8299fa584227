"""When the world is at rest, and whether it then is as it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.views import handlers as views
from shared.events import catalogue
from shared.ledger.store import Mark
from tests.evidence import gather

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Only these faults put a gap into a partition; without them the relay must publish everything, in order.
LOSING = ("record_lost", "topic_wiped", "late_append")
ENDED = ("completed", "rejected", "cancelled")


def unsettled(world: World) -> list[str]:
    """What is still under way; nothing when the world is at rest."""
    out: list[str] = []
    for service in world.services.values():
        tables = service.tables
        if not service.processes:
            out.append(f"{service.name} is down")
        out += [f"{service.name} owes {id}" for id in tables.effects]
        due = [t for t in tables.timers.values() if t.due_at <= world.now]
        out += [
            f"{service.name} has parked {row.key!r}: {row.error}"
            for row, _ in tables.parked.values()
        ]
        out += [f"{service.name}: timer {t.name} of {t.subject} is overdue" for t in due]
    return out or _unread(world) or _orders(world)


def _unread(world: World) -> list[str]:
    """Partitions that somebody has not read to the end."""
    out: list[str] = []
    for service in world.everything():
        for topic, partition in world.broker.logs:
            if topic not in _topics(world, service.name):
                continue
            mark = service.tables.checkpoints.get((topic, partition), Mark(0, 0))
            producer = catalogue.sequenced_by(topic)
            if producer is None:
                at, head = mark.next_offset, world.broker.logs[topic, partition].end
            else:
                chain = world.services[producer].tables.chain
                at, head = mark.sequence, chain.get((topic, partition), 0)
            if at < head:
                out.append(f"{service.name} has read {topic}/{partition} to {at} of {head}")
    return out


def _topics(world: World, name: str) -> tuple[str, ...]:
    return views.TABLE.topics if name == "views" else world.tables[name].topics


def _orders(world: World) -> list[str]:
    """Orders that neither have ended nor wait for a person."""
    table, streams = world.tables["order"], world.services["order"].tables.streams
    out: list[str] = []
    for stream, snapshot in streams.items():
        state = table.decode_state(stream, snapshot.state)
        if state.status not in ENDED and not state.holds:
            out.append(f"{stream} is {state.status}, and nobody has been asked to look at it")
    return out


async def judged(world: World) -> list[str]:
    """Everything that reconciliation finds, and what is left over."""
    out: list[str] = []
    parked = world.views.tables.parked
    out += [f"the views have parked {row.key!r}: {row.error}" for row in parked]
    streams = world.services["order"].tables.by_stream
    told = sorted(id for id in world.workload.told if f"order-{id}" not in streams)
    out += [f"order {id} was promised to a shopper and is not there" for id in told]
    gaps = sum(p.consumer.counters.gaps for s in world.everything() for p in s.ever)
    if gaps and world.chaos.random.keys().isdisjoint(LOSING):
        out.append(f"consumers found {gaps} gaps, though the broker has lost nothing")
    report = (await gather(world)).judge()
    out += [
        f"invariant {v.invariant}: {v.service} {v.stream}: {v.message}" for v in report.violations
    ]
    out += [f"not checked: {what}" for what in report.not_checked]
    out += [f"still in flight: {n} {what}" for what, n in report.in_flight.items()]
    return out
