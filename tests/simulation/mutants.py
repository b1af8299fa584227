"""Planted bugs: realistic defects, switched on one at a time, that the simulation must catch.

Each is a function that puts something wrong in place of something right. What the code guards twice is left out: a
defect that another guard makes harmless is no bug that could be seen.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import msgspec
from msgspec.structs import replace

from services.fulfillment.domain import packages
from services.inventory import handlers as inventory
from services.inventory.domain import movements, settling
from services.inventory.domain.stock import Stock
from services.notifications import mailer
from services.order import effects as order_effects
from services.order import handlers as order_handlers
from services.order.domain import cancelling, paying, placing, returning, saga, shipping
from services.order.domain import reserving as order_reserving
from services.order.domain.state import Order
from services.views import projector
from shared.events import Items, Refused
from shared.events import inventory as i
from shared.events import order as o
from shared.ledger import batch, settlement, writer
from shared.ledger.effects import Effects
from shared.ledger.store import Mark, Meta, Unavailable
from shared.ledger.table import Handler
from shared.ledger.work import Outcome, Task, Unit
from shared.stream import consumer, recovery, relay

Mutant = Callable[["Patch"], None]
MUTANTS: dict[str, Mutant] = {}


class Patch:
    """Puts other things in place, and remembers what was there."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []

    def set(self, owner: Any, name: str, new: Any) -> None:
        """Another attribute."""
        old = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
        self._undo.append(lambda: setattr(owner, name, old))
        setattr(owner, name, new)

    def decides(self, command: type, decide: Any) -> None:
        """Another decider in inventory's table."""
        handlers = inventory.TABLE.handlers
        old = handlers[command]
        self._undo.append(lambda: handlers.update({command: old}))
        handlers[command] = Handler(old.streams, decide)

    def back(self) -> None:
        """Everything as it was."""
        while self._undo:
            self._undo.pop()()


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The code with one bug."""
    patch = Patch()
    MUTANTS[name](patch)
    try:
        yield
    finally:
        patch.back()


def mutant(plant: Mutant) -> Mutant:
    """Add it to the list."""
    MUTANTS[plant.__name__] = plant
    return plant


# Consumers


def _tasks(*, watermark: bool, chain: bool) -> Any:
    right = consumer.ConsumerRuntime._tasks

    def tasks(self: Any, partition: Any, records: Any) -> Any:
        if chain:
            return right(self, partition, records)
        mark, out = self.marks[partition], []
        for record in records:
            task, _ = self.task(record, mark, dict(record.headers))
            if watermark and task.chained and task.mark.sequence <= mark.sequence:
                task = consumer._skip(record, mark)
            mark = task.mark
            out.append(task)
        return out, None

    return tasks


@mutant
def no_watermark(patch: Patch) -> None:
    """Whatever comes is handled, in whatever order: neither watermark nor chain."""
    patch.set(consumer.ConsumerRuntime, "_tasks", _tasks(watermark=False, chain=False))


@mutant
def no_chain_check(patch: Patch) -> None:
    """A record that is not next is handled all the same."""
    patch.set(consumer.ConsumerRuntime, "_tasks", _tasks(watermark=True, chain=False))


@mutant
def checkpoint_committed_first(patch: Patch) -> None:
    """The marks move in one transaction, the work follows in another."""

    async def submit(self: Any, tasks: Any, expected: Any) -> None:
        skips = [consumer._skip(t.record, t.mark) if t.record else t for t in tasks]
        for skip, task in zip(skips, tasks, strict=True):
            skip.mark, skip.partition = task.mark, task.partition
        await self._writer.submit(Unit(skips, expected))
        work = [t for t in tasks if t.record]
        await self._writer.submit(Unit([_unmarked(t) for t in work]))

    patch.set(consumer.ConsumerRuntime, "submit", submit)


def _unmarked(task: Any) -> Task:
    fields = (field.name for field in dataclasses.fields(Task))
    return Task(**{n: getattr(task, n) for n in fields if n not in ("partition", "mark")})


@mutant
def gap_not_healed(patch: Patch) -> None:
    """What was lost is skipped."""

    async def heal(self: Any, partition: Any, gap: Any) -> None:
        marks = self._reader.marks
        mark = Mark(gap.offset, gap.upto)
        skip = consumer._skip(_Nowhere(*partition, gap.offset), mark)
        skip.mark = mark
        await self._reader.submit([skip], {partition: marks[partition]})
        marks[partition] = mark
        self._read_on(partition, gap.offset)

    patch.set(recovery.Recovery, "_heal", heal)


class _Nowhere(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int


@mutant
def lost_tail_not_noticed(patch: Patch) -> None:
    """Nobody asks the producers whether the last records are missing."""

    async def check(self: Any) -> None:
        return None

    patch.set(recovery.Recovery, "_check_tails", check)


@mutant
def no_fence(patch: Patch) -> None:
    """A consumer whose partition has moved may still write."""
    patch.set(writer, "_check_fences", lambda units, found: None)


# The writer


@mutant
def parked_key_overtaken(patch: Patch) -> None:
    """A good message passes a parked one of its key."""
    right = writer.wanted
    patch.set(
        writer, "wanted", lambda table, units, _, poison=(): right(table, units, set(), poison)
    )


@mutant
def effect_answer_settled_twice(patch: Patch) -> None:
    """The answer of a call that was made twice is decided about twice."""
    right = settlement.Settlement._already_done

    def already_done(self: Any, task: Any) -> bool:
        return task.effect is None and right(self, task)

    patch.set(settlement.Settlement, "_already_done", already_done)


@mutant
def idempotency_key_forgotten(patch: Patch) -> None:
    """Answers are not kept."""
    right = settlement.Settlement._done

    def done(self: Any, task: Any, outcome: Outcome) -> Outcome:
        before = dict(self._batch.writes.answers)
        outcome = right(self, task, outcome)
        self._batch.writes.answers = before
        return outcome

    patch.set(settlement.Settlement, "_done", done)


@mutant
def answered_before_durable(patch: Patch) -> None:
    """A request that the database did not take is answered as if it had."""
    right = writer.Writer.handle

    async def handle(self: Any, task: Any) -> Outcome:
        try:
            return await right(self, task)
        except Unavailable:
            return Outcome()

    patch.set(writer.Writer, "handle", handle)


@mutant
def cause_not_recorded(patch: Patch) -> None:
    """Events do not say what they came from."""
    right = batch._encode_meta

    def encode_meta(task: Any, context: Any, id: str = "") -> bytes:
        meta = msgspec.json.decode(right(task, context, id), type=Meta)
        return msgspec.json.encode(replace(meta, causation=""))

    patch.set(batch, "_encode_meta", encode_meta)


@mutant
def keys_spread_over_partitions(patch: Patch) -> None:
    """Messages of one key go to any partition, and overtake one another."""
    number = count()
    patch.set(batch, "partition_of", lambda key, partitions: next(number) % partitions)


@mutant
def timers_forgotten(patch: Patch) -> None:
    """Deadlines are not stored."""
    right = batch.Batch.finish

    def finish(self: Any) -> Any:
        writes = right(self)
        writes.timers = {key: timer for key, timer in writes.timers.items() if timer is None}
        return writes

    patch.set(batch.Batch, "finish", finish)


@mutant
def effects_forgotten_after_a_failure(patch: Patch) -> None:
    """A call that failed is not made again."""

    async def postpone(self: Any, row: Any, error: str, *, parked: bool) -> None:
        self._store.tables.effects.pop(row.id, None)

    patch.set(Effects, "_postpone", postpone)


# The relay


@mutant
def marked_before_acknowledged(patch: Patch) -> None:
    """The cursor passes what the broker may not have."""
    right = relay.Relay._publish

    async def publish(self: Any, producer: Any, rows: Any) -> None:
        self.published = rows[-1].position
        await self._store.mark_published(self.published)
        await right(self, producer, rows)

    patch.set(relay.Relay, "_publish", publish)


@mutant
def relay_skips_a_part(patch: Patch) -> None:
    """A part of the feed from another process is taken for published."""
    right = relay.Relay._from_memory

    def after(self: Any) -> Any:
        if self._offered and self._offered[0].after > self.published:
            self.published = self._offered[0].after
        return right(self)

    patch.set(relay.Relay, "_from_memory", after)


@mutant
def relay_publishes_side_by_side(patch: Patch) -> None:
    """Several batches of one partition are in flight at once, in any order."""
    right = relay.Relay._publish

    async def publish(self: Any, producer: Any, rows: Any) -> None:
        await asyncio.gather(*(right(self, producer, [row]) for row in rows))

    patch.set(relay.Relay, "_publish", publish)


# Views


@mutant
def view_applied_twice(patch: Patch) -> None:
    """A projector whose partitions have moved still writes."""
    patch.set(projector, "_check_fence", lambda unit, found: None)


# Orders and their money


@mutant
def fresh_provider_key_per_retry(patch: Patch) -> None:
    """Each attempt of a call has a key of its own."""
    right, number = order_effects._retried, count()

    def retried(perform: Any) -> Any:
        return right(lambda request, key: perform(request, f"{key}-{next(number)}"))

    patch.set(order_effects, "_retried", retried)


@mutant
def float_money(patch: Patch) -> None:
    """A unit's price is computed once, rounded, and multiplied."""
    patch.set(
        shipping,
        "units",
        lambda amount, quantity, before, wanted: round(amount / quantity) * wanted,
    )


@mutant
def missing_compensation(patch: Patch) -> None:
    """A rejected order keeps its stock."""
    patch.set(
        saga, "_rejected", lambda state: [*saga._unwatch(state, saga.TIMER), *saga._void(state)]
    )


@mutant
def capture_twice(patch: Patch) -> None:
    """A package is charged under two ids."""
    right = saga._react_to_goods

    def react(state: Any, event: Any) -> Items:
        items = right(state, event)
        if isinstance(event, o.OrderPacked) and event.capture.amount > 0:
            [effect] = items
            return [effect, replace(effect, id=f"{effect.id}:again")]
        return items

    patch.set(saga, "_react_to_goods", react)


@mutant
def refund_not_capped(patch: Patch) -> None:
    """A return of a part gives back the price of the whole line."""
    patch.set(returning, "units", lambda amount, quantity, before, wanted: amount)


@mutant
def free_package_captured(patch: Patch) -> None:
    """Releasing a hold charges whatever stands packed."""
    right = saga.Saga.react

    def react(self: Any, state: Any, event: Any, context: Any) -> Items:
        items = right(self, state, event, context)
        if isinstance(event, o.HoldReleased) and state.payment is not None:
            free = [(n, p) for n, p in state.packages.items() if p.amount == 0]
            items = [*items, *(saga._capture(state, n, p) for n, p in free)]
        return items

    patch.set(saga.Saga, "react", react)


@mutant
def order_placed_twice(patch: Patch) -> None:
    """The same order on two roads is two orders."""
    right = placing.place
    patch.set(placing, "place", lambda state, command, context: right(Order(), command, context))


@mutant
def reply_of_another_step_accepted(patch: Patch) -> None:
    """A commit is taken for a confirmation whatever the order waits for."""
    patch.set(
        order_reserving,
        "committed",
        lambda state, event, context: [order_reserving.confirmation(state)],
    )


@mutant
def late_payment_revives_an_order(patch: Patch) -> None:
    """The provider's answer is not matched to what is asked."""
    right = paying.authorised

    def authorised(state: Any, answer: Any, context: Any) -> Items:
        return right(
            replace(state, authorising=True, cancelling="", status="placed"), answer, context
        )

    patch.set(paying, "authorised", authorised)
    patch.set(saga, "_authorised", lambda state: [saga._commit(state)])


@mutant
def cancelled_without_the_warehouse(patch: Patch) -> None:
    """Stock and money are given back while a parcel may still leave."""
    patch.set(saga, "_stop", saga._undo)


@mutant
def cancelled_when_too_late(patch: Patch) -> None:
    """An order is cancelled though its money is being taken."""
    patch.set(cancelling, "_too_late", lambda state: "")


@mutant
def packed_units_not_folded(patch: Patch) -> None:
    """The order forgets how much it has charged for."""
    right = order_handlers.evolve

    def evolve(state: Any, event: Any) -> Any:
        after = right(state, event)
        if isinstance(event, o.OrderPacked):
            return replace(after, lines=state.lines)
        return after

    patch.set(order_handlers, "evolve", evolve)


@mutant
def short_units_not_given_back(patch: Patch) -> None:
    """What could not be picked stays allocated."""
    right = saga._react_to_goods

    def react(state: Any, event: Any) -> Items:
        return [] if isinstance(event, o.LinesCancelled) else right(state, event)

    patch.set(saga, "_react_to_goods", react)


@mutant
def shipped_units_not_consumed(patch: Patch) -> None:
    """What has left stays allocated."""
    right = saga._react_to_goods

    def react(state: Any, event: Any) -> Items:
        return [] if isinstance(event, o.OrderShipped) else right(state, event)

    patch.set(saga, "_react_to_goods", react)


# Stock


@mutant
def released_twice(patch: Patch) -> None:
    """Giving a reservation back frees its units twice."""

    def release(states: Any, m: Any, context: Any) -> Items:
        items = settling.release(states, m, context)
        return items + [x for x in items if isinstance(x, i.UnitsReleased)]

    patch.decides(i.ReleaseReservation, release)


@mutant
def released_units_lost(patch: Patch) -> None:
    """A reservation is given back, and its units are not."""

    def release(states: Any, m: Any, context: Any) -> Items:
        items = settling.release(states, m, context)
        return [x for x in items if not isinstance(x, i.UnitsReleased)]

    patch.decides(i.ReleaseReservation, release)


@mutant
def double_restock(patch: Patch) -> None:
    """What comes back is put on the shelf twice."""

    def restock(states: Any, m: Any, context: Any) -> Items:
        items = movements.restock(states, m, context)
        return items + [x for x in items if isinstance(x, i.StockRestocked)]

    patch.decides(i.RestockItems, restock)


@mutant
def receipt_counted_twice(patch: Patch) -> None:
    """A delivery that is told twice counts twice."""

    def receive(states: Any, m: Any, context: Any) -> Items:
        return movements.receive({**states, m.subject: movements.initial()}, m, context)

    patch.decides(i.ReceiveStock, receive)


@mutant
def expiry_by_sweeper_only(patch: Patch) -> None:
    """A hold that has run out counts until somebody sweeps it."""

    def commit(states: Any, m: Any, context: Any) -> Items:
        r = states[m.subject]
        return settling.commit({**states, m.subject: replace(r, expires_at=None)}, m, context)

    patch.decides(i.CommitReservation, commit)


@mutant
def oversold_by_one(patch: Patch) -> None:
    """One unit more than there is can be promised."""
    right = Stock.available
    patch.set(Stock, "available", property(lambda self: right.fget(self) + 1))  # type: ignore[attr-defined]


# Parcels and mail


@mutant
def parcel_leaves_unpaid(patch: Patch) -> None:
    """The carrier may take what is packed, released or not."""
    right = packages.ship

    def ship(state: Any, command: Any, context: Any) -> Items:
        items = right(state, command, context)
        package = state.packages.get(command.package_id)
        match items:
            case [Refused(code="not_released")] if package is not None:
                released = replace(package, stage=packages.PackageStage.RELEASED)
                known = {**state.packages, command.package_id: released}
                return right(replace(state, packages=known), command, context)
        return items

    patch.set(packages, "ship", ship)


@mutant
def mail_differs_at_each_attempt(patch: Patch) -> None:
    """A mail that is sent again is another one under the same Message-ID."""
    right, number = mailer.write, count()

    def write(mail: Any, sender: Any) -> Any:
        letter = right(mail, sender)
        return letter._replace(content=letter.content + b"%d\r\n" % next(number))

    patch.set(mailer, "write", write)


@mutant
def mail_id_made_anew(patch: Patch) -> None:
    """Each attempt of a mail has a Message-ID of its own."""
    right, number = mailer.write, count()

    def write(mail: Any, sender: Any) -> Any:
        letter = right(mail, sender)
        return letter._replace(message_id=f"<{next(number)}@oms.local>")

    patch.set(mailer, "write", write)
