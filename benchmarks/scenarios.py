"""The scenarios: each brings up a fresh system, measures, and tells its figures as it finds them."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from benchmarks import (
    floor,
    journey,
    latency,
    overload,
    pgbench,
    posts,
    rebuild,
    refold,
    space,
    survey,
)
from benchmarks.figures import Figure, figure
from benchmarks.load import orders, publish, record, records, stock_up
from benchmarks.testbed import ALL, WRITE_SIDE, Bed, Services, open_bed, resident_mb, until
from shared.events.order import OrderPlaced, PlaceOrder
from shared.stream.kafka import KafkaProducer


class Size(NamedTuple):
    """How much is measured."""

    orders: int = 20_000
    warm_up_orders: int = 2_000
    post_seconds: float = 16
    post_warm_up_s: float = 2
    latency_per_s: float = 100
    latency_seconds: float = 20
    latency_warm_up_s: float = 5
    overload_ramp_s: float = 15
    overload_seconds: float = 60


#: Enough to see that everything works; too little to state a figure.
QUICK = Size(1_000, 200, 6, 1, 100, 5, 2, 3, 8)


@dataclass
class Report:
    """Where scenarios put what they find. ``memory`` and ``space`` become one figure each, of all scenarios that ran."""

    tell: Callable[[Figure], None]
    say: Callable[[str], None]
    memory: dict[str, dict[str, float]] = field(default_factory=dict)
    space: dict[str, dict[str, float]] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)


async def run(name: str, wanted: set[str], size: Size, report: Report) -> None:
    """Run one scenario for the figures that are wanted of it."""
    scenarios = {
        "journey": _journey,
        "views": _views,
        "posts": _posts,
        "latency": _latency,
        "overload": _overload,
    }
    await scenarios[name](wanted, size, report)


def finish(wanted: set[str], report: Report) -> None:
    """Tell the figures that are taken from all scenarios together."""
    if "service_rss_mb_max" in wanted and report.memory:
        value, service, scenario = max(
            (mb, service, scenario)
            for scenario, by_service in report.memory.items()
            for service, mb in by_service.items()
        )
        report.tell(
            figure(
                "service_rss_mb_max",
                value,
                service=service,
                scenario=scenario,
                orders=report.orders,
                by_scenario=report.memory,
            )
        )
    if "database_bytes_per_order" in wanted and report.space:
        sums = {scenario: round(sum(found.values())) for scenario, found in report.space.items()}
        with_views = "views" in sums
        report.tell(
            figure(
                "database_bytes_per_order",
                sums["views" if with_views else "journey"],
                views_included=with_views,
                total=sums,
                by_database=report.space,
                orders=report.orders,
            )
        )


class Carried(NamedTuple):
    """A journey that was made, and what is needed for its floor."""

    made: journey.Journey
    orders: list[PlaceOrder]
    warm_up: list[PlaceOrder]
    base: dict[str, int]
    entries_before: int


async def _journey(wanted: set[str], size: Size, report: Report) -> None:
    """Without views; then its floor, and refolding what it left."""
    async with open_bed(WRITE_SIDE) as bed, _producer(bed) as producer:
        found = await _carry(bed, producer, WRITE_SIDE, size, report, "journey")
        if "journey_orders_per_s" in wanted:
            report.say("the transport floor of that journey")
            traffic, surveyed = await _traffic(bed, found)
            floor_ = await floor.measure(bed, traffic, found.orders, found.warm_up)
            report.tell(
                figure(
                    "journey_orders_per_s",
                    found.made.orders / found.made.completed_s,
                    floor_.orders_per_s,
                    **_details(found.made, surveyed, floor_),
                )
            )
        if "refold_events_per_s" in wanted:
            report.say("refolding all streams")
            folded = await refold.measure(bed, WRITE_SIDE)
            report.tell(figure("refold_events_per_s", folded.events_per_s, **folded.details()))


async def _views(wanted: set[str], size: Size, report: Report) -> None:
    """With views on; then its floor, and a rebuild of the order view."""
    async with open_bed(ALL, books_on_file=True) as bed, _producer(bed) as producer:
        found = await _carry(bed, producer, ALL, size, report, "views")
        assert found.made.viewed_s is not None
        if "journey_with_views_orders_per_s" in wanted:
            report.say("the transport floor of that journey")
            traffic, surveyed = await _traffic(bed, found)
            traffic = await survey.with_views(bed, traffic, size.orders, found.entries_before)
            floor_ = await floor.measure(bed, traffic, found.orders, found.warm_up)
            report.tell(
                figure(
                    "journey_with_views_orders_per_s",
                    found.made.orders / found.made.viewed_s,
                    floor_.with_entries_per_s,
                    completed_orders_per_s=round(found.made.orders / found.made.completed_s),
                    completed_floor_per_s=round(floor_.orders_per_s),
                    **_details(found.made, surveyed, floor_),
                )
            )
        if "rebuild_events_per_s" in wanted:
            report.say("rebuilding the order view")
            async with bed.services("views") as services:
                built = await rebuild.measure(bed, services, 60 + size.orders / 20)
            report.tell(
                figure(
                    "rebuild_events_per_s",
                    built.events / built.seconds,
                    events=built.events,
                    orders=built.orders,
                    seconds=round(built.seconds, 2),
                )
            )


async def _carry(
    bed: Bed,
    producer: KafkaProducer,
    names: tuple[str, ...],
    size: Size,
    report: Report,
    scenario: str,
) -> Carried:
    """Warm up, make the journey, and note space; with views, memory."""
    batch, warm_up = orders(size.orders, "j"), orders(size.warm_up_orders, "w")
    async with bed.services(*names) as services:
        await stock_up(bed, producer, services)
        report.say(f"warming up with {size.warm_up_orders} orders")
        await journey.measure(bed, services, producer, records(warm_up))
        base = await survey.bases(bed, WRITE_SIDE)
        entries_before = await survey.entries(bed) if "views" in names else 0
        bytes_before = await space.database_bytes(bed, names)
        report.say(f"the journey of {size.orders} orders, {', '.join(names)}")
        made = await journey.measure(bed, services, producer, records(batch))
        report.say(f"completed after {made.completed_s:.1f} s")
    if "views" in names:
        report.memory[scenario] = made.resident_mb
    report.orders[scenario] = size.warm_up_orders + size.orders
    after = await space.database_bytes(bed, names)
    report.space[scenario] = space.per_order(bytes_before, after, size.orders)
    return Carried(made, batch, warm_up, base, entries_before)


async def _traffic(bed: Bed, found: Carried) -> tuple[Any, dict[str, survey.Surveyed]]:
    surveyed = await survey.survey(bed, found.base)
    (topic, _), first = record(found.orders[0])
    numbers = [o.external_id for o in found.orders]
    traffic = await survey.traffic(bed, found.base, surveyed, (topic, first), numbers)
    return traffic, surveyed


def _details(
    made: journey.Journey, surveyed: dict[str, survey.Surveyed], floor_: floor.Floor
) -> dict[str, Any]:
    cpu_ms, floor_cpu_ms = (
        {name: round(s * 1000 / made.orders, 3) for name, s in spent.items()}
        for spent in (made.cpu_s, floor_.cpu_s)
    )
    return {
        "orders": made.orders,
        "completed_s": round(made.completed_s, 2),
        "settled_s": round(made.settled_s, 2),
        "cpu_ms_per_order": cpu_ms,
        "cpu_ms_per_order_sum": round(sum(cpu_ms.values()), 3),
        "messages_per_order": round(sum(s.rows for s in surveyed.values()) / made.orders, 2),
        "transactions": {name: s.transactions for name, s in surveyed.items()},
        "floor_transactions": floor_.transactions,
        "floor_cpu_ms_per_order": floor_cpu_ms,
        "floor_cpu_ms_per_order_sum": round(sum(floor_cpu_ms.values()), 3),
    }


async def _posts(wanted: set[str], size: Size, report: Report) -> None:
    """Only the order service, and pgbench in turns with it."""
    async with open_bed(("order", "inventory")) as bed:
        await _prepare_posts(bed)
        async with bed.services("order") as services:
            for connections in posts.CONNECTIONS:
                rate_name = f"post_orders_per_s_c{connections}"
                latency_name = f"post_latency_ms_p99_c{connections}"
                if not wanted & {rate_name, latency_name}:
                    continue
                report.say(f"POST /orders over {connections} connections, and pgbench")
                m = await posts.measure(
                    bed, services, connections, size.post_seconds, size.post_warm_up_s
                )
                details: dict[str, Any] = {
                    "latency_ms": m.latency_ms,
                    "floor_latency_ms": m.floor_latency_ms,
                    "rounds": m.rounds,
                    "floor_rounds": m.floor_rounds,
                    "relay_behind_s": m.relay_behind_s,
                    "pgbench": "prepared statements, two threads",
                    "services": "order with its relay; the others are stopped",
                }
                if rate_name in wanted:
                    report.tell(figure(rate_name, m.orders_per_s, m.floor_per_s, **details))
                if latency_name in wanted:
                    report.tell(figure(latency_name, m.latency_ms["p99"], **details))
            report.memory["posts"] = resident_mb(services.pids())
        report.orders["posts"] = await bed.number("order", "select count(*) from streams")


async def _prepare_posts(bed: Bed) -> None:
    """SKUs that the order service knows, and pgbench's tables with rows of a real order's size."""
    async with _producer(bed) as producer, bed.services("order", "inventory") as services:
        await stock_up(bed, producer, services)
        [example] = orders(1, "example")
        await publish(producer, records([example]))

        async def placed() -> bool:
            return bool(await bed.number("order", "select count(*) from messages"))

        await until(placed, "an example order is placed", timeout_s=30, services=services)
    sql = "select data from messages where type = %(type)s limit 1"
    [(payload,)] = await bed.query("order", sql, {"type": OrderPlaced.tag()})
    customer, address = (msgspec.json.encode(x) for x in (example.customer, example.ship_to))
    await pgbench.prepare(bed, bytes(payload), customer, address)  # type: ignore[call-overload]


async def _latency(wanted: set[str], size: Size, report: Report) -> None:
    """All services, views included, under a steady rate."""
    async with (
        open_bed(ALL) as bed,
        _producer(bed) as producer,
        bed.services(*ALL) as services,
    ):
        await stock_up(bed, producer, services)
        report.say(f"{size.latency_per_s:.0f} orders/s for {size.latency_seconds:.0f} s")
        m = await latency.measure(
            bed,
            services,
            per_s=size.latency_per_s,
            seconds=size.latency_seconds,
            warm_up_s=size.latency_warm_up_s,
        )
        await _until_done(bed, services)
        report.memory["latency"] = resident_mb(services.pids())
        report.orders["latency"] = await bed.number("order", "select count(*) from streams")
    for percentile in ("p50", "p99"):
        name = f"confirm_latency_ms_{percentile}"
        if name in wanted:
            report.tell(
                figure(
                    name,
                    m.wall_ms[percentile],
                    measured="from publishing the order until a consumer has OrderConfirmed",
                    wall_ms=m.wall_ms,
                    recorded_ms=m.recorded_ms,
                    orders=m.orders,
                    sent_per_s=m.sent_per_s,
                )
            )


async def _overload(wanted: set[str], size: Size, report: Report) -> None:
    """The write side, and ten times what it can carry."""
    async with (
        open_bed(WRITE_SIDE, overload.GATED, books_on_file=True) as bed,
        _producer(bed) as producer,
        bed.services(*WRITE_SIDE) as services,
    ):
        await stock_up(bed, producer, services)
        report.say(f"capacity, then ten times that for {size.overload_seconds:.0f} s")
        m = await overload.measure(
            bed,
            services,
            ramp_s=size.overload_ramp_s,
            seconds=size.overload_seconds,
        )
        report.memory["overload"] = resident_mb(services.pids())
        report.orders["overload"] = await bed.number("order", "select count(*) from streams")
    details = overload.details(m)
    if "overload_goodput_ratio" in wanted:
        report.tell(figure("overload_goodput_ratio", m.goodput, **details))
    if "overload_normal_after_s" in wanted:
        report.tell(figure("overload_normal_after_s", max(m.drained_s, m.let_in_s), **details))


async def _until_done(bed: Bed, services: Services) -> None:
    await until(
        lambda: journey.settled(bed, WRITE_SIDE),
        "every service has read what the others published",
        timeout_s=60,
        services=services,
    )
    total = await bed.number("order", "select count(*) from streams")
    await journey.verify(bed, ALL, total, 0)


@asynccontextmanager
async def _producer(bed: Bed) -> AsyncIterator[KafkaProducer]:
    producer = KafkaProducer(bed.stack.kafka)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
