"""Invariant 6: one `Shipped` for each package, of goods that were ordered, paid for and not cancelled."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ops.reconcile.log import Cuts, Dossier, Entry, events
from ops.reconcile.report import Check, Tally
from shared.events import LineQuantity
from shared.events import fulfillment as f
from shared.events import order as o

SHIPPED = Check(
    6, "packages leave once, paid for, not after a cancellation; shipped ≤ ordered − cancelled"
)
WAREHOUSE = Check(6, "the warehouse sends what it was told to, packed and released, once")
BOTH = Check(6, "the warehouse's and the order's shipments and deliveries are the same")
STOPPED = Check(6, "no warehouse works on an order that was cancelled")
CHECKS = (SHIPPED, WAREHOUSE, BOTH, STOPPED)

Units = dict[tuple[str, str], int]


def tally_units(lines: Iterable[LineQuantity]) -> Units:
    """Units by line and SKU."""
    out: Units = {}
    for line in lines:
        key = (line.line_id, line.sku)
        out[key] = out.get(key, 0) + line.quantity
    return out


@dataclass(slots=True)
class OrderSide:
    """What the order's own stream says about packages."""

    tally: Tally
    ordered: Units = field(default_factory=dict)
    sent: Units = field(default_factory=dict)
    owed: dict[str, int] = field(default_factory=dict)
    shipped: dict[str, tuple[Entry, o.OrderShipped]] = field(default_factory=dict)
    delivered: dict[str, tuple[Entry, o.OrderDelivered]] = field(default_factory=dict)
    total: int = 0
    authorised: bool = False
    ended: str = ""

    def check(self, dossier: Dossier) -> None:
        """Follow the order's stream: its order is the causal one."""
        for entry in dossier.order:
            match entry.message:
                case o.OrderPlaced() as m:
                    self.ordered, self.total, self.ended = _lines(m), m.total, ""
                case o.LinesCancelled() as m:
                    for key, n in tally_units(m.lines).items():
                        self._take(entry, key, n, "cancelled")
                case o.PaymentAuthorised():
                    self.authorised = True
                case o.OrderPacked() as m:
                    self.owed[m.package_id] = m.capture.amount
                case o.PaymentCaptured() as m:
                    self._captured(entry, m)
                case o.OrderCancelled() | o.OrderRejected():
                    self.ended = entry.id
                case o.OrderShipped() as m:
                    self._shipped(entry, m)
                case o.OrderDelivered() as m:
                    if m.package_id in self.delivered:
                        self._wrong(entry, f"package {m.package_id} was delivered before")
                    if m.package_id not in self.shipped:
                        self._wrong(entry, f"package {m.package_id} arrived and had not left")
                    self.delivered[m.package_id] = (entry, m)
                case _:
                    pass

    def _captured(self, entry: Entry, m: o.PaymentCaptured) -> None:
        owed = self.owed.pop(m.package_id, None) if m.package_id else self.total
        if owed is None:
            self._wrong(entry, f"money was taken for package {m.package_id}, which owes nothing")
        elif owed != m.amount.amount:
            self._wrong(
                entry, f"{m.amount.amount} were taken for {m.package_id or 'fees'}, owed {owed}"
            )

    def _shipped(self, entry: Entry, m: o.OrderShipped) -> None:
        self.tally.saw(SHIPPED)
        if known := self.shipped.get(m.package_id):
            self._wrong(entry, f"package {m.package_id} left before, by {known[0].id}")
        if self.total and not self.authorised:
            self._wrong(entry, f"package {m.package_id} left before the payment was authorised")
        if self.owed.get(m.package_id):
            owed = self.owed[m.package_id]
            self._wrong(
                entry, f"package {m.package_id} left while {owed} minor units were owed for it"
            )
        if self.ended:
            self._wrong(entry, f"package {m.package_id} left after the order ended by {self.ended}")
        for key, n in tally_units(m.lines).items():
            self._take(entry, key, n, "shipped")
            self.sent[key] = self.sent.get(key, 0) + n
        self.shipped[m.package_id] = (entry, m)

    def _take(self, entry: Entry, key: tuple[str, str], n: int, what: str) -> None:
        left = self.ordered.get(key, 0) - n
        if left < 0 or n < 1:
            why = f"{n} units of line {key[0]} ({key[1]}) are {what}, {left + n} were left of it"
            self._wrong(entry, why)
        self.ordered[key] = left

    def _wrong(self, entry: Entry, why: str) -> None:
        self.tally.violation(SHIPPED, entry, why)


def _lines(m: o.OrderPlaced) -> Units:
    return {(line.line_id, line.sku): line.quantity for line in m.lines}


def check_warehouse(stream: list[Entry], tally: Tally) -> None:
    """One fulfillment: picked ≤ opened, packed ≤ picked, left once and only when released."""
    open_units: Units = {}
    loose: Units = {}
    stage: dict[str, str] = {}
    cancelled = ""
    for entry in stream:
        tally.saw(WAREHOUSE)
        m = entry.message
        if cancelled and not isinstance(m, f.FulfillmentCancellationRefused):
            tally.violation(WAREHOUSE, entry, f"{type(m).__name__} after {cancelled} stopped it")
        match m:
            case f.FulfillmentOpened():
                open_units = tally_units(m.lines)
            case f.ItemsPicked():
                _less(
                    open_units, tally_units((*m.lines, *m.short)), entry, "picked or short", tally
                )
                for key, n in tally_units(m.lines).items():
                    loose[key] = loose.get(key, 0) + n
            case f.PackagePacked():
                _less(loose, tally_units(m.lines), entry, "packed", tally)
                _step(stage, m.package_id, "", "packed", entry, tally)
            case f.PackageReleased():
                _step(stage, m.package_id, "packed", "released", entry, tally)
            case f.Shipped():
                _step(stage, m.package_id, "released", "shipped", entry, tally)
            case f.Delivered():
                _step(stage, m.package_id, "shipped", "delivered", entry, tally)
            case f.FulfillmentCancelled():
                if late := {"released", "shipped", "delivered"} & set(stage.values()):
                    tally.violation(WAREHOUSE, entry, f"stopped with a package {min(late)}")
                cancelled = entry.id
            case _:
                pass


def _less(there: Units, units: Units, entry: Entry, what: str, tally: Tally) -> None:
    for key, n in units.items():
        left = there.get(key, 0) - n
        if left < 0:
            why = f"{n} units of line {key[0]} ({key[1]}) are {what}, {left + n} were there"
            tally.violation(WAREHOUSE, entry, why)
        there[key] = left


def _step(
    stage: dict[str, str], package: str, before: str, after: str, entry: Entry, tally: Tally
) -> None:
    found = stage.get(package, "")
    if found != before:
        why = f"package {package} is {after} and was {found or 'unknown'}"
        tally.violation(WAREHOUSE, entry, f"{why}, not {before or 'new'}")
    stage[package] = after


def check_both(dossier: Dossier, order: OrderSide, cuts: Cuts, tally: Tally) -> None:
    """What left the warehouse and what the order knows to have left; the same for arrivals."""
    if "fulfillment" not in cuts:
        return
    left: dict[str, f.Shipped] = {}
    arrived: dict[str, f.Delivered] = {}
    for _, stream in dossier.streams_of("fulfillment"):
        for entry, m in events(stream, f.Shipped, f.Delivered):
            tally.saw(BOTH)
            known: tuple[Entry, o.OrderShipped | o.OrderDelivered] | None
            if isinstance(m, f.Shipped):
                left[m.package_id], known, what = m, order.shipped.get(m.package_id), "left"
            else:
                arrived[m.package_id], known, what = m, order.delivered.get(m.package_id), "arrived"
            if known is None:
                if cuts.reached("order", entry):
                    why = f"package {m.package_id} {what}, the order has handled this and does not know it"
                    tally.violation(BOTH, entry, why)
                else:
                    tally.in_flight("parcels that moved, on their way to the order")
    for package, (entry, shipped) in order.shipped.items():
        told = left.get(package)
        if told is None:
            why = f"package {package} left, says the order; no warehouse says so"
            tally.violation(BOTH, entry, why)
        elif (told.lines, told.location, told.tracking_number) != (
            shipped.lines,
            shipped.location,
            shipped.tracking_number,
        ):
            why = (
                f"package {package} is not the same at the warehouse (units, location or tracking)"
            )
            tally.violation(BOTH, entry, why)
    for package, (entry, delivered) in order.delivered.items():
        if package not in arrived or arrived[package].lines != delivered.lines:
            why = f"package {package} arrived, says the order; no carrier says so (or with other units)"
            tally.violation(BOTH, entry, why)


def check_stopped(dossier: Dossier, ended: Entry | None, cuts: Cuts, tally: Tally) -> None:
    """The fulfillments of an order that ``ended`` unsent are cancelled as well."""
    if ended is None or "fulfillment" not in cuts or not dossier.settled(cuts):
        return
    tally.saw(STOPPED)
    for stream, entries in dossier.streams_of("fulfillment"):
        if not any(events(entries, f.FulfillmentCancelled)):
            how = type(ended.message).__name__
            tally.violation(STOPPED, ended, f"{how}, but {stream} was not cancelled")
