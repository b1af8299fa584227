"""How far each planned order has come, folded from the events that the services publish."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from ops.demo.plan import Plan, Planned
from ops.demo.stories import RETURNING, End
from shared.events import Event
from shared.events import inventory as i
from shared.events import order as o
from shared.events import returns as r


@dataclass(slots=True)
class Progress:
    """One order. Times are UTC, as its service recorded them."""

    planned: Planned
    placed_at: datetime | None = None
    confirmed_at: datetime | None = None
    waited: bool = False
    packages: int = 0
    authorised: int = 0
    captured: int = 0
    end: End | None = None

    @property
    def right(self) -> bool:
        """Whether the order reached an end that was decided for it."""
        return self.end in self.planned.story.ends

    @property
    def now(self) -> str:
        """Where it is, in a word."""
        if self.end is not None:
            return self.end.value
        return "confirmed" if self.confirmed_at else "placed" if self.placed_at else "not placed"


@dataclass(slots=True)
class Money:
    """Sums of one currency, in minor units."""

    authorised: int = 0
    captured: int = 0
    refunded: int = 0
    voided: int = 0


@dataclass(slots=True)
class Counts:
    """What has happened so far, over the planned orders; parcels are counted one by one."""

    placed: int = 0
    confirmed: int = 0
    shipped: int = 0
    delivered: int = 0
    cancelled: int = 0
    refused: int = 0
    returned: int = 0
    ended: int = 0


@dataclass(slots=True)
class Tracker:
    """Folds events. ``version`` rises with each event of a planned order, so that standstill shows."""

    plan: Plan
    counts: Counts = field(default_factory=Counts)
    money: dict[str, Money] = field(default_factory=dict)
    parcels: Counter[str] = field(default_factory=Counter)
    version: int = 0
    orders: dict[str, Progress] = field(init=False)
    skus: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.orders = {order.order_id: Progress(order) for order in self.plan.orders}

    @property
    def finished(self) -> bool:
        """Whether every order has ended."""
        return self.counts.ended == len(self.orders)

    @property
    def unfinished(self) -> list[Progress]:
        """Orders that have not ended, or not as decided."""
        return [p for p in self.orders.values() if p.end is None or not p.right]

    def outcomes(self) -> Counter[End]:
        """Orders by the end they reached, of those that ended as decided."""
        return Counter(p.end for p in self.orders.values() if p.end is not None and p.right)

    def apply(self, event: Event, at: datetime) -> Progress | None:
        """Fold one event; the planned order that it is about, if it is about one."""
        if isinstance(event, i.ItemRegistered | i.StockReceived):
            self.skus.add(event.sku)
            return None
        progress = self.orders.get(getattr(event, "order_id", ""))
        if progress is None:
            return None
        self.version += 1
        self._fold(progress, event, at)
        return progress

    def _fold(self, p: Progress, event: Event, at: datetime) -> None:
        counts = self.counts
        match event:
            case o.OrderPlaced():
                p.placed_at = at
                counts.placed += 1
            case o.OrderBackordered():
                p.waited = True
            case o.OrderConfirmed():
                p.confirmed_at = at
                counts.confirmed += 1
            case o.OrderShipped():
                p.packages += 1
                counts.shipped += p.packages == 1
                self.parcels[event.location] += 1
            case o.OrderRejected():
                counts.refused += 1
                self._end(p, End.REFUSED)
            case o.OrderCancelled():
                counts.cancelled += 1
                self._end(p, End.CANCELLED)
            case o.OrderCompleted():
                counts.delivered += p.packages > 0
                if p.planned.story not in RETURNING:
                    self._end(p, End.COMPLETED)
            case r.ReturnSettled():
                counts.returned += 1
                self._end(p, End.RETURNED)
            case _:
                self._fold_money(p, event)

    def _fold_money(self, p: Progress, event: Event) -> None:
        money = self.money.setdefault(p.planned.command.currency, Money())
        match event:
            case o.PaymentAuthorised():
                p.authorised += event.amount.amount
                money.authorised += event.amount.amount
            case o.PaymentCaptured():
                p.captured += event.amount.amount
                money.captured += event.amount.amount
            case o.PaymentVoided():
                money.voided += p.authorised - p.captured
            case o.RefundIssued():
                money.refunded += event.amount.amount
            case _:
                return

    def _end(self, p: Progress, end: End) -> None:
        if p.end is None:
            self.counts.ended += 1
        p.end = end


def about(event: Event) -> str:
    """The order that an event is about; empty for stock."""
    return str(getattr(event, "order_id", ""))


def latencies_ms(orders: dict[str, Progress]) -> list[float]:
    """Milliseconds from placed to confirmed, sorted; orders that had to wait for stock are left out."""
    return sorted(
        (p.confirmed_at - p.placed_at).total_seconds() * 1000
        for p in orders.values()
        if p.placed_at and p.confirmed_at and not p.waited
    )


def percentile(values: list[float], percent: float) -> float:
    """The nearest-rank percentile of sorted values; 0 of none."""
    if not values:
        return 0.0
    rank = max(1, -(-len(values) * percent // 100))
    return values[int(rank) - 1]
