"""Reads a run's traffic from the services' databases."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from benchmarks.load import CHANNEL
from benchmarks.testbed import Bed, BenchmarkFailed
from benchmarks.traffic import (
    Headers,
    Noted,
    Part,
    Reaction,
    Template,
    Totals,
    Traffic,
    consumed_records,
    fitted,
    numbered,
    reactions,
)
from shared.events.order import PlaceOrder
from shared.ledger.store import FeedRow
from shared.stream.port import Outgoing
from shared.stream.relay import envelope

ENTRY = PlaceOrder.tag()
SAMPLE_MAX = 300
#: The sample must explain the run: rows per order by the sample against rows per order in all.
SHARE_MIN, SHARE_MAX = 0.98, 1.02

_TOTALS = """
select type, coalesce(topic, ''), count(*), avg(octet_length(data))::float8, avg(octet_length(meta))::float8,
       avg(length(key))::float8, avg(length(stream))::float8
from messages where position > %(base)s group by 1, 2 order by min(position)"""

_SAMPLE = """
select case when version is null then convert_from(meta, 'UTF8')::jsonb ->> 'id' else stream || '/' || version end,
       type, coalesce(topic, ''), m.correlation, convert_from(meta, 'UTF8')::jsonb ->> 'causation'
from messages, lateral (select convert_from(meta, 'UTF8')::jsonb ->> 'correlation' as correlation) m
where position > %(base)s and m.correlation = any(%(sample)s) order by position"""

_EXAMPLE = """
select data, meta, stream, coalesce(version, 0), key, at from messages
where position > %(base)s and type = %(type)s order by position limit 1"""

# The transaction that inserted a row is in its header: exact, whatever else the service asked the database.
_TRANSACTIONS = """
select count(distinct xmin::text) from messages where position > %(base)s"""


class Surveyed(msgspec.Struct, frozen=True):
    """A service's part of a run."""

    totals: list[Totals]
    topics: list[str]
    transactions: int

    @property
    def rows(self) -> int:
        """Messages written."""
        return sum(t.messages for t in self.totals)


async def bases(bed: Bed, services: tuple[str, ...]) -> dict[str, int]:
    """Where each log stands now: what is surveyed later begins after it."""
    sql = "select position from head"
    return {s: await bed.number(s, sql) for s in services}


async def survey(bed: Bed, base: Mapping[str, int]) -> dict[str, Surveyed]:
    """Totals and transactions of every service since its base."""
    out = {}
    for service, after in base.items():
        args: dict[str, object] = {"base": after}
        totals = [Totals(*row) for row in await bed.query(service, _TOTALS, args)]  # type: ignore[arg-type]
        [(written,)] = await bed.query(service, _TRANSACTIONS, args)
        topics = await bed.query(service, "select distinct topic from checkpoints order by 1")
        out[service] = Surveyed(totals, [str(t) for (t,) in topics], int(str(written)))
    return out


async def traffic(
    bed: Bed,
    base: Mapping[str, int],
    surveyed: Mapping[str, Surveyed],
    order: tuple[str, Outgoing],
    numbers: list[str],
) -> Traffic:
    """The traffic of a run. ``order`` is one record of the channel; ``numbers`` are the external ids of all orders.

    Raises `BenchmarkFailed` when a sample of orders does not explain what the whole run wrote.
    """
    sample = numbers[:: max(1, len(numbers) // SAMPLE_MAX)]
    logs = await _logs(bed, base, [f"{CHANNEL}/{n}" for n in sample])
    consumed = {s: v.topics for s, v in surveyed.items()}
    found = reactions(logs, consumed, ENTRY, len(sample))
    _check_sample(logs, surveyed, len(sample), len(numbers))
    templates = await _templates(bed, base, surveyed, order)
    number = {t.type: n for n, t in enumerate(templates)}
    sent = Counter({order[0]: len(numbers)})
    for one in surveyed.values():
        for total in one.totals:
            sent[total.topic] += total.messages
    parts = [_part(s, v, found[s], number, sent) for s, v in surveyed.items()]
    return Traffic(templates, parts)


async def _logs(
    bed: Bed, base: Mapping[str, int], correlations: list[str]
) -> dict[str, list[Noted]]:
    out = {}
    for service, after in base.items():
        rows = await bed.query(service, _SAMPLE, {"base": after, "sample": correlations})
        out[service] = [Noted(*(str(v) for v in row)) for row in rows]
    return out


def _check_sample(
    logs: Mapping[str, list[Noted]], surveyed: Mapping[str, Surveyed], sample: int, orders: int
) -> None:
    for service, log in logs.items():
        rows = surveyed[service].rows
        if not rows:
            continue
        share = (len(log) / sample) / (rows / orders)
        if not SHARE_MIN <= share <= SHARE_MAX:
            raise BenchmarkFailed(
                f"{service}: a sample of {sample} orders has {len(log) / sample:.2f} rows an order, the run "
                f"{rows / orders:.2f}: the orders differ, or something else was written"
            )


async def _templates(
    bed: Bed,
    base: Mapping[str, int],
    surveyed: Mapping[str, Surveyed],
    order: tuple[str, Outgoing],
) -> list[Template]:
    topic, record = order
    templates = [
        Template(
            topic, numbered(record.value, 0), b"", list(record.headers), len(record.key), ENTRY
        )
    ]
    for service, found in surveyed.items():
        for total in found.totals:
            args: dict[str, object] = {"base": base[service], "type": total.type}
            [example] = await bed.query(service, _EXAMPLE, args)
            templates.append(_template(service, total, example, len(templates)))
    return templates


def _template(service: str, total: Totals, example: tuple[object, ...], number: int) -> Template:
    data, meta, stream, version, key, at = example
    row = FeedRow(
        position=100_000,
        previous=99_990,
        topic=total.topic,
        partition=0,
        key=str(key),
        type=total.type,
        stream=str(stream),
        version=int(str(version)) or None,
        at=at if isinstance(at, datetime) else datetime.now(UTC),
        meta=bytes(meta),  # type: ignore[call-overload]
        data=b"",
    )
    headers: Headers = envelope(row, f"/oms/{service}").headers() if total.topic else []
    return Template(
        topic=total.topic,
        data=numbered(fitted(bytes(data), total.data_bytes), number),  # type: ignore[call-overload]
        meta=fitted(row.meta, total.meta_bytes),
        headers=headers,
        key_chars=round(total.key_chars),
        type=total.type,
    )


def _part(
    service: str,
    found: Surveyed,
    reacted: list[Reaction],
    number: Mapping[str, int],
    sent: Mapping[str, int],
) -> Part:
    by_cause: dict[int, list[tuple[int, int, float]]] = {}
    for r in reacted:
        by_cause.setdefault(number[r.cause], []).append((number[r.type], r.phase, r.per_cause))
    records = sum(sent[topic] for topic in found.topics)
    return Part(
        service, found.topics, by_cause, max(1, round(records / max(1, found.transactions)))
    )


async def entries(bed: Bed) -> int:
    """Rows of the views' timeline so far."""
    return await bed.number("views", "select count(*) from v1.timeline")


async def with_views(bed: Bed, carried: Traffic, orders: int, entries_before: int) -> Traffic:
    """Traffic with the views' process: it reads their topics and keeps as many entries of what it reads as they did."""
    topics = await bed.query("views", "select distinct topic from v1.checkpoints order by 1")
    part = Part("views", [str(t) for (t,) in topics], {}, 1)
    records = consumed_records(carried, part, orders)
    share = (await entries(bed) - entries_before) / records
    keeper = msgspec.structs.replace(part, entries_per_record=share)
    return Traffic(carried.templates, [*carried.parts, keeper])
