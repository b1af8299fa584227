"""Invariant 9: each consumer applied each message once, in order.

Evidence from outside: what a handled message must have led to is there exactly once. A message counts as handled when
the consumer's checkpoint has passed it and its key is not parked; until then it is in flight.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ops.reconcile.log import Cuts, Dossier, Entry
from ops.reconcile.report import Check, Place, Tally
from shared.events import Message, catalogue
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import notifications as n
from shared.events import order as o
from shared.events import returns as r

CHECKPOINTS = Check(9, "checkpoints are not above what the producer has given positions to")
APPLIED = Check(9, "a message that was handled has led to its outcome, exactly once")
IN_ORDER = Check(9, "messages of one key were handled in the order in which they were sent")
CHECKS = (CHECKPOINTS, APPLIED, IN_ORDER)


class Rule(NamedTuple):
    """``message``, once ``consumer`` has handled it, has exactly one of ``outcomes`` with the same ``match``ing field.

    ``unless`` names events of the order, or of the outcome's own stream, that may have come before and made it moot.
    """

    message: type[Message]
    consumer: str
    outcomes: tuple[type[Message], ...]
    match: str
    unless: tuple[type[Message], ...] = ()
    when: Callable[[Any], bool] = lambda _: True


_STOPPING = (o.CancellationRequested, o.OrderRejected, o.OrderCancelled)
_RESERVED = (i.StockReserved, i.StockBackordered, i.ReservationRejected)
_COMMITTED = (i.ReservationCommitted, i.CommitRefused, i.ReservationExpired)

RULES = (
    Rule(
        i.ReserveStock,
        "inventory",
        (i.StockBackordered, i.StockReserved, i.ReservationRejected),
        "reservation_id",
        (i.ReservationReleased, i.CommitRefused),
    ),
    Rule(i.CommitReservation, "inventory", _COMMITTED, "reservation_id", (i.ReservationReleased,)),
    Rule(i.ConsumeReservation, "inventory", (i.ReservationConsumed,), "package_id"),
    Rule(
        f.CreateFulfillment,
        "fulfillment",
        (f.FulfillmentOpened,),
        "fulfillment_id",
        (f.FulfillmentCancelled,),
    ),
    Rule(
        f.ReleasePackage,
        "fulfillment",
        (f.PackageReleased,),
        "package_id",
        (f.FulfillmentCancelled,),
    ),
    Rule(i.StockReserved, "order", (o.OrderReserved,), "reservation_id", _STOPPING),
    Rule(i.StockBackordered, "order", (o.OrderBackordered,), "reservation_id", _STOPPING),
    Rule(i.ReservationCommitted, "order", (o.OrderConfirmed,), "order_id", _STOPPING),
    Rule(f.PackagePacked, "order", (o.OrderPacked,), "package_id", _STOPPING),
    Rule(f.Shipped, "order", (o.OrderShipped,), "package_id"),
    Rule(f.Delivered, "order", (o.OrderDelivered,), "package_id"),
    Rule(r.ReturnInspected, "order", (o.ReturnAccepted,), "return_id"),
    Rule(o.OrderShipped, "returns", (r.ItemsReturnable,), "package_id"),
    Rule(
        o.RefundIssued, "returns", (r.ReturnSettled,), "return_id", when=lambda m: bool(m.return_id)
    ),
    Rule(
        o.OrderPlaced,
        "notifications",
        (n.CorrespondenceOpened,),
        "order_id",
        when=lambda m: bool(m.customer.email),
    ),
    Rule(i.RestockItems, "inventory", (i.MovementRecorded,), "movement_id"),
)
#: What an order says again of another service's event, and which of its fields must be the same.
SAME = (
    (i.StockReserved, o.OrderReserved, "reservation_id", ("allocations", "expires_at")),
    (f.PackagePacked, o.OrderPacked, "package_id", ("lines", "fulfillment_id")),
    (o.OrderShipped, r.ItemsReturnable, "package_id", ("lines",)),
)

Found = dict[tuple[type[Message], str], list[Entry]]


def check_handled(dossier: Dossier, cuts: Cuts, tally: Tally) -> None:
    """Every rule, for one key."""
    found: Found = defaultdict(list)
    present: set[type[Message]] = set()
    for entry in dossier.entries():
        if entry.message is not None:
            present.add(type(entry.message))
            found[type(entry.message), ""].append(entry)
    for rule in RULES:
        if rule.consumer in cuts:
            for entry in found.get((rule.message, ""), ()):
                _apply(rule, entry, found, present, cuts, tally)
    for told, again, field, fields in SAME:
        _same(found, told, again, field, fields, tally)
    _in_order(dossier, tally)


def _apply(
    rule: Rule, entry: Entry, found: Found, present: set[type[Message]], cuts: Cuts, tally: Tally
) -> None:
    message = entry.message
    if not rule.when(message):
        return
    outcomes = list(_matching(found, rule.outcomes, rule.match, getattr(message, rule.match)))
    if rule.message is i.ReserveStock:
        # A backordered reservation is granted later: its first answer is what counts.
        outcomes = [x for x in outcomes if x.meta.causation == entry.id or len(outcomes) == 1]
    elif rule.outcomes is _COMMITTED:
        outcomes = outcomes[:1]  # a refused commit is answered anew for each place where it stands
    if len(outcomes) == 1:
        tally.saw(APPLIED)
        return
    names = " or ".join(t.__name__ for t in rule.outcomes)
    if outcomes:
        tally.saw(APPLIED)
        again = ", ".join(x.id for x in outcomes)
        why = f"{rule.consumer} answered {entry.id} with {len(outcomes)} times {names}: {again}"
        tally.violation(APPLIED, outcomes[-1], why)
    elif present.isdisjoint(rule.unless):
        if cuts.given_up(rule.consumer, entry):
            tally.note(f"{rule.consumer} was made to give up {entry.id}, so nothing came of it")
        elif cuts.reached(rule.consumer, entry):
            tally.saw(APPLIED)
            named = type(message).__name__
            why = f"{rule.consumer} has handled this {named}, and there is no {names} for it"
            tally.violation(APPLIED, entry, why)
        else:
            tally.in_flight(f"messages on their way to {rule.consumer}")


def _matching(
    found: Found, types: Iterable[type[Message]], field: str, value: Any
) -> Iterable[Entry]:
    for t in types:
        for entry in found.get((t, ""), ()):
            if getattr(entry.message, field) == value:
                yield entry


def _same(
    found: Found,
    told: type[Message],
    again: type[Message],
    field: str,
    fields: tuple[str, ...],
    tally: Tally,
) -> None:
    by_value = {getattr(x.message, field): x for x in found.get((told, ""), ())}
    for entry in found.get((again, ""), ()):
        source = by_value.get(getattr(entry.message, field))
        if source is None:
            continue  # missing causes are reported by invariants 6 and 8
        tally.saw(APPLIED)
        for name in fields:
            if getattr(entry.message, name) != getattr(source.message, name):
                why = f"its {name} are not those of {source.id}, which it repeats"
                tally.violation(APPLIED, entry, why)


def _in_order(dossier: Dossier, tally: Tally) -> None:
    """In each consumer, one sender's messages of one topic were handled in the order of their positions.

    Positions are a sender's own: those of two, which some topics had before each got one, say nothing about each other.
    The first that a message caused counts: more may come of it later, by timers and answers to calls.
    """
    causes = {entry.id: entry for entry in dossier.entries() if entry.row.topic is not None}
    seen: set[tuple[str, str]] = set()
    by_sender: dict[tuple[str, str, str], list[tuple[int, int, Entry]]] = defaultdict(list)
    for entry in sorted(dossier.entries(), key=lambda x: x.row.position):
        cause = causes.get(entry.meta.causation)
        first = (entry.service, entry.meta.causation) not in seen
        if cause is not None and cause.service != entry.service and first:
            seen.add((entry.service, entry.meta.causation))
            assert cause.row.topic is not None
            at = (entry.row.position, cause.row.position, entry)
            by_sender[entry.service, cause.service, cause.row.topic].append(at)
    for (_, _, topic), handled in by_sender.items():
        last = 0
        for _, position, entry in sorted(handled, key=lambda x: x[0]):
            tally.saw(IN_ORDER)
            if position < last:
                why = f"position {position} of {topic} was handled after position {last}"
                tally.violation(IN_ORDER, entry, why)
            last = max(last, position)


def check_checkpoints(cuts: Cuts, tally: Tally) -> None:
    """No consumer has handled what its producer has not sent; what it has yet to handle is in flight."""
    for consumer, cut in cuts.items():
        for (topic, partition), mark in sorted(cut.marks.items()):
            producer = catalogue.sequenced_by(topic)
            if producer is None or producer not in cuts:
                continue
            tally.saw(CHECKPOINTS)
            head = cuts[producer].heads.get((topic, partition), 0)
            if mark > head:
                place = Place(consumer, f"checkpoint {topic}/{partition}", mark)
                why = f"{consumer} has handled {topic}/{partition} up to {mark}, {producer} ends at {head}"
                tally.violation(CHECKPOINTS, place, why)
            elif mark < head:
                tally.in_flight(f"partitions that {consumer} has not read to the end")
        tally.in_flight(f"calls that {consumer} owes", len(cut.effects) - cut.effects_parked)
        tally.in_flight(f"PARKED calls of {consumer}: `oms parked list`", cut.effects_parked)
        tally.in_flight(f"overdue timers of {consumer}", len(cut.due))
        tally.in_flight(f"PARKED keys of {consumer}: `oms parked list`", len(cut.parked))
