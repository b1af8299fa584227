"""Invariant 5: an order's total is the sum of its parts, and every unit costs and gives back its exact share.

The shares are computed anew here, in exact fractions, not by the order service's own code.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from ops.reconcile.log import Dossier, Entry, events
from ops.reconcile.report import Check, Tally
from shared.events import LineQuantity, Money
from shared.events import order as o

TOTALS = Check(5, "an order's total = lines + tax + shipping + fees − discount, in one currency")
SHARES = Check(
    5, "captures and refunds are the exact shares of their units; refunded ≤ paid per unit"
)
CHECKS = (TOTALS, SHARES)


@dataclass(slots=True)
class Line:
    """One order line: what all its units cost, and give back; how many are packed and returned."""

    sku: str
    quantity: int
    cost: int
    back: int
    packed: int = 0
    returned: int = 0
    refunded: int = 0


@dataclass(slots=True)
class Totals:
    """The money of one order, by line."""

    tally: Tally
    currency: str = ""
    total: int = 0
    lines: dict[str, Line] = field(default_factory=dict)

    def check(self, dossier: Dossier) -> None:
        """Follow the order's stream."""
        for entry, m in events(
            dossier.order,
            o.OrderPlaced,
            o.OrderPacked,
            o.PaymentAuthorised,
            o.PaymentCaptured,
            o.ReturnAccepted,
            o.RefundIssued,
            o.OrderConfirmed,
        ):
            match m:
                case o.OrderPlaced():
                    self._placed(entry, m)
                case o.OrderPacked():
                    self._packed(entry, m)
                case o.ReturnAccepted():
                    self._returned(entry, m)
                case o.OrderConfirmed():
                    self._whole(entry, m.total, "confirmed")
                case o.PaymentAuthorised():
                    self._whole(entry, m.amount, "authorised")
                case _:
                    self._money(entry, m.amount)

    def _placed(self, entry: Entry, m: o.OrderPlaced) -> None:
        self.tally.saw(TOTALS)
        extras = sum(-c.amount if c.kind == "discount" else c.amount for c in m.charges)
        total = sum(line.total for line in m.lines) + extras
        if m.total != total:
            why = f"the total is {m.total}, its lines and charges add up to {total}"
            self.tally.violation(TOTALS, entry, why)
        for line in m.lines:
            # Prices below the minor unit round each unit by half of it at most.
            slack = line.quantity if line.exact_unit_price is not None else 0
            if abs(line.total - line.quantity * line.unit_price) > slack:
                why = (
                    f"line {line.line_id}: {line.quantity} x {line.unit_price} is not {line.total}"
                )
                self.tally.violation(TOTALS, entry, why)
        self.currency, self.total = m.currency, m.total
        costs, backs = shares(m)
        self.lines = {
            line.line_id: Line(line.sku, line.quantity, cost, back)
            for line, cost, back in zip(m.lines, costs, backs, strict=True)
        }

    def _whole(self, entry: Entry, amount: Money, what: str) -> None:
        self._money(entry, amount)
        if amount.amount != self.total:
            why = f"{amount.amount} were {what}, the order's total is {self.total}"
            self.tally.violation(TOTALS, entry, why)

    def _money(self, entry: Entry, amount: Money) -> None:
        self.tally.saw(TOTALS)
        if amount.currency != self.currency:
            why = f"{amount.currency} in an order of {self.currency}"
            self.tally.violation(TOTALS, entry, why)

    def _packed(self, entry: Entry, m: o.OrderPacked) -> None:
        self._money(entry, m.capture)
        cost = 0
        for x in m.lines:
            line = self._line(entry, x)
            if line is not None:
                cost += part(line.cost, line.quantity, line.packed, x.quantity)
                line.packed += x.quantity
        self.tally.saw(SHARES)
        if m.capture.amount != cost:
            why = (
                f"package {m.package_id} is to cost {m.capture.amount}, its units' share is {cost}"
            )
            self.tally.violation(SHARES, entry, why)

    def _returned(self, entry: Entry, m: o.ReturnAccepted) -> None:
        self._money(entry, m.refund)
        owed = 0
        for x in m.lines:
            line = self._line(entry, x)
            if line is None:
                continue
            share = part(line.back, line.quantity, line.returned, x.quantity)
            line.returned += x.quantity
            line.refunded += share
            owed += share
            if line.refunded > part(line.cost, line.quantity, 0, line.returned):
                why = f"line {x.line_id}: {line.refunded} given back for {line.returned} units"
                self.tally.violation(SHARES, entry, f"{why}, which is more than they cost")
        self.tally.saw(SHARES)
        if m.refund.amount != owed:
            why = f"return {m.return_id} is owed {m.refund.amount}, its units' share is {owed}"
            self.tally.violation(SHARES, entry, why)

    def _line(self, entry: Entry, x: LineQuantity) -> Line | None:
        line = self.lines.get(x.line_id)
        if line is None or line.sku != x.sku:
            self.tally.violation(SHARES, entry, f"the order has no line {x.line_id} of {x.sku}")
            return None
        return line


def part(amount: int, quantity: int, before: int, count: int) -> int:
    """What units ``before + 1`` to ``before + count`` of ``quantity`` that cost ``amount`` together cost."""
    share = Fraction(amount, quantity)
    return int(share * (before + count) // 1 - share * before // 1)


def shares(m: o.OrderPlaced) -> tuple[list[int], list[int]]:
    """What each line costs with its share of all charges, and what of that a return gives back (no shipping, no fees)."""
    goods = [line.total for line in m.lines]
    if not goods or not m.charges:
        return goods, goods
    back = sum(c.amount for c in m.charges if c.kind == "tax")
    back -= sum(c.amount for c in m.charges if c.kind == "discount")
    kept = sum(c.amount for c in m.charges if c.kind in ("shipping", "fee"))
    costs = largest_remainder(sum(goods) + back + kept, goods)
    backs = largest_remainder(max(0, sum(goods) + back), goods)
    return costs, [min(b, c) for b, c in zip(backs, costs, strict=True)]


def largest_remainder(amount: int, weights: Sequence[int]) -> list[int]:
    """``amount`` in whole parts in proportion to ``weights`` (equal ones if all are 0); the earlier of equals first."""
    whole = sum(weights)
    exact = [
        Fraction(amount * w, whole) if whole else Fraction(amount, len(weights)) for w in weights
    ]
    parts = [int(x // 1) for x in exact]
    by_rest = sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))
    for n in by_rest[: amount - sum(parts)]:
        parts[n] += 1
    return parts
