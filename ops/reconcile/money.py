"""Invariants 3 and 4: payments, against themselves, against how the order ended, and against the provider's ledger."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from ops.reconcile.log import Cuts, Dossier, Entry, events
from ops.reconcile.report import Check, Place, Tally
from ops.reconcile.reservations import Reservation
from ops.reconcile.spool import Spool
from shared.events import order as o

PAYMENTS = Check(4, "0 ≤ refunded ≤ captured ≤ authorised, one capture for each capture id")
LEDGER_HAS = Check(4, "every payment event is in the provider's ledger, with the same amount")
EVENT_HAS = Check(4, "every movement in the provider's ledger has its payment event")
ENDED = Check(3, "a cancelled or rejected order holds no stock and keeps no money")
CHECKS = (PAYMENTS, LEDGER_HAS, EVENT_HAS, ENDED)

#: How far the provider's clock may be ahead of ours: a movement younger than the cut is judged next time.
CLOCKS_DIFFER_MAX = timedelta(seconds=2)
MOVEMENTS = ("authorised", "captured", "voided", "refunded")


class LedgerEntry(NamedTuple):
    """One line of the provider's ledger, as it is kept in the spool."""

    entry: int
    kind: str
    key: str
    payment_id: str
    provider_ref: str
    amount: int
    currency: str
    at: int


class Claim(NamedTuple):
    """What one of our events says must stand in the provider's ledger; an amount of None is not compared."""

    by: Entry
    kind: str
    key: str
    payment_id: str
    amount: int | None
    currency: str


@dataclass(slots=True)
class Payment:
    """One payment as the order's events leave it, in minor units."""

    ref: str = ""
    currency: str = ""
    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    voided: bool = False


@dataclass(slots=True)
class Money:
    """The payments of one order."""

    tally: Tally
    payments: dict[str, Payment] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)

    def check(self, dossier: Dossier) -> None:
        """Follow the order's stream."""
        types = (o.PaymentAuthorised, o.PaymentDeclined, o.PaymentCaptured, o.CaptureRefused)
        more = (o.PaymentVoided, o.RefundIssued, o.RefundFailed)
        for entry, m in events(dossier.order, *types, *more):
            self.tally.saw(PAYMENTS)
            p = self.payments.setdefault(m.payment_id, Payment())
            self._event(entry, m, p)
            if not 0 <= p.refunded <= p.captured <= p.authorised:
                why = f"{p.refunded} refunded, {p.captured} captured, {p.authorised} authorised"
                self.tally.violation(PAYMENTS, entry, f"payment {m.payment_id}: {why}")

    def _event(self, entry: Entry, m: o.OrderEvent, p: Payment) -> None:
        match m:
            case o.PaymentAuthorised():
                if p.authorised:
                    self._wrong(entry, f"payment {m.payment_id} was authorised before")
                p.ref, p.currency, p.authorised = m.provider_ref, m.amount.currency, m.amount.amount
                self._claim(
                    entry,
                    "authorised",
                    f"{m.payment_id}:authorise",
                    m.payment_id,
                    m.amount.amount,
                    p,
                )
            case o.PaymentDeclined():
                self._claim(entry, "declined", f"{m.payment_id}:authorise", m.payment_id, None, p)
            case o.PaymentCaptured():
                if p.voided:
                    self._wrong(entry, f"payment {m.payment_id} was voided before")
                p.captured += m.amount.amount
                self._once(entry, m.capture_id)
                self._claim(
                    entry, "captured", f"{m.capture_id}:capture", m.payment_id, m.amount.amount, p
                )
            case o.CaptureRefused():
                self._claim(entry, "refused", f"{m.capture_id}:capture", m.payment_id, None, p)
            case o.PaymentVoided():
                if p.voided:
                    self._wrong(entry, f"payment {m.payment_id} was voided before")
                p.voided = True
                rest = p.authorised - p.captured
                self._claim(entry, "voided", f"{m.payment_id}:void", m.payment_id, rest, p)
            case o.RefundIssued():
                p.refunded += m.amount.amount
                self._once(entry, m.refund_id)
                self._claim(
                    entry, "refunded", f"{m.refund_id}:refund", m.payment_id, m.amount.amount, p
                )
            case o.RefundFailed():
                self._claim(entry, "refused", f"{m.refund_id}:refund", m.payment_id, None, p)

    def _claim(
        self, entry: Entry, kind: str, key: str, payment_id: str, amount: int | None, p: Payment
    ) -> None:
        self.claims.append(Claim(entry, kind, key, payment_id, amount, p.currency))

    def _once(self, entry: Entry, id: str) -> None:
        if id in self.seen:
            self._wrong(entry, f"{id} was taken before, by {self.seen[id]}")
        self.seen[id] = entry.id

    def _wrong(self, entry: Entry, why: str) -> None:
        self.tally.violation(PAYMENTS, entry, why)


def check_ended(
    dossier: Dossier,
    money: Money,
    reservations: dict[str, Reservation],
    cuts: Cuts,
    tally: Tally,
) -> None:
    """What is left of an order that was cancelled or rejected."""
    ended = ending(dossier)
    if ended is None:
        return
    if not dossier.settled(cuts):
        tally.in_flight("ended orders whose stock or money is still being given back")
        return
    tally.saw(ENDED)
    how = type(ended.message).__name__
    for stream, r in reservations.items():
        if r.holds:
            n = sum(r.open.values())
            left = f"{n} units" if n else "a place in the line"
            tally.violation(ENDED, ended, f"{how}, but {stream} still holds {left}")
    held = any(m.kind == "payment" for _, m in events(dossier.order, o.HoldPlaced))
    for id, p in money.payments.items():
        if p.captured != p.refunded:
            kept = p.captured - p.refunded
            tally.violation(ENDED, ended, f"{how}, but payment {id} keeps {kept} minor units")
        elif p.authorised and not p.voided and not p.captured and not held:
            tally.violation(ENDED, ended, f"{how}, but payment {id} was not given up")


def ending(dossier: Dossier) -> Entry | None:
    """The event by which the order ended unsent, if it did. An unusable order may be sent again, and then lives."""
    last = None
    for entry, m in events(dossier.order, o.OrderCancelled, o.OrderRejected, o.OrderPlaced):
        last = None if isinstance(m, o.OrderPlaced) else entry
    return last


class Provider:
    """The provider's ledger in the spool, compared with what each order claims."""

    def __init__(self, spool: Spool, cuts: Cuts, tally: Tally) -> None:
        self._spool = spool
        self._tally = tally
        self._owed = cuts["order"].effects if "order" in cuts else {}
        self._until = cuts["order"].at if "order" in cuts else None
        self._rules = _LedgerRules(tally)

    def add(self, rows: Iterable[LedgerEntry]) -> None:
        """A page of the ledger."""
        for row in rows:
            self._spool.add("ledger", *row)

    def ready(self) -> None:
        """The whole ledger is there."""
        self._spool.index("create index ledger_payment on ledger (payment_id)")

    def compare(self, dossier: Dossier, money: Money) -> None:
        """One order's payments against the ledger, both ways."""
        ids = {f"{dossier.key}.pay1", *money.payments}
        claims = {c.key: c for c in money.claims}
        for id in sorted(ids):
            self._spool.add("claimed", id)
            rows = self._spool.look("select * from ledger where payment_id = ? order by entry", id)
            entries = [LedgerEntry(*row) for row in rows]
            self._rules.check(entries)
            for entry in entries:
                if entry.kind in MOVEMENTS:
                    self._tally.saw(EVENT_HAS)
                if entry.key not in claims and entry.kind in MOVEMENTS:
                    self._unknown(entry)
            by_key = {e.key: e for e in entries}
            for claim in money.claims:
                if claim.payment_id == id:
                    self._claimed(claim, by_key.get(claim.key), money.payments[id].ref)

    def _claimed(self, claim: Claim, found: LedgerEntry | None, ref: str) -> None:
        self._tally.saw(LEDGER_HAS)
        if found is None:
            why = f"the provider's ledger has no entry {claim.key!r} ({claim.kind})"
            self._tally.violation(LEDGER_HAS, claim.by, why)
            return
        differs = [
            f"{name}: we say {ours!r}, the provider says {theirs!r}"
            for name, ours, theirs in (
                ("outcome", claim.kind, found.kind),
                ("amount", claim.amount, found.amount),
                ("currency", claim.currency, found.currency),
                ("reference", ref, found.provider_ref),
            )
            if ours not in (None, "") and ours != theirs
        ]
        if differs:
            why = f"ledger entry {found.entry} ({claim.key}) differs: {'; '.join(differs)}"
            self._tally.violation(LEDGER_HAS, claim.by, why)

    def _unknown(self, entry: LedgerEntry) -> None:
        """Money moved that our log doesn't know of: unless the answer is still on its way."""
        young = self._until is not None and entry.at > micros(self._until - CLOCKS_DIFFER_MAX)
        if young or entry.key in self._owed:
            self._tally.in_flight("payments that moved, and whose answer is not recorded yet")
            return
        why = f"the provider {entry.kind} {entry.amount} {entry.currency} under key {entry.key!r}"
        place = Place("payments", entry.provider_ref or entry.payment_id, entry.entry, entry.key)
        self._tally.violation(EVENT_HAS, place, f"{why}, and no event of ours says so")

    def unclaimed(self) -> None:
        """Movements for payments that belong to no order."""
        sql = """select * from ledger l
                 where not exists (select 1 from claimed c where c.payment_id = l.payment_id) order by entry"""
        for row in self._spool.query(sql):
            entry = LedgerEntry(*row)
            if entry.kind in MOVEMENTS:
                self._tally.saw(EVENT_HAS)
                self._unknown(entry)


class _LedgerRules:
    """The provider's own entries must obey invariant 4 as well."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def check(self, entries: list[LedgerEntry]) -> None:
        sums = dict.fromkeys(MOVEMENTS, 0)
        for entry in entries:
            if entry.kind not in sums:
                continue
            self._tally.saw(PAYMENTS)
            sums[entry.kind] += entry.amount
            taken = sums["captured"] + sums["voided"]
            if sums["refunded"] > sums["captured"] or taken > sums["authorised"]:
                place = Place("payments", entry.provider_ref, entry.entry, entry.key)
                said = ", ".join(f"{n} {kind}" for kind, n in sums.items())
                self._tally.violation(PAYMENTS, place, f"the provider's ledger: {said}")


def micros(at: datetime) -> int:
    """Microseconds since 1970 (UTC)."""
    return round(at.timestamp() * 1_000_000)
