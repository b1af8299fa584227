"""The inventory service's language: reservations (keyed by order) and stock (keyed by SKU)."""

from typing import ClassVar, Literal

from shared.events.message import (
    Allocation,
    BackorderPolicy,
    Command,
    Event,
    Instant,
    LineQuantity,
    Request,
    StockLine,
)


class ReservationRequest(Request, frozen=True, kw_only=True):
    """A request about one order's reservation. ``lines`` names the SKUs, so that their streams
    can be locked.
    """

    reservation_id: str
    order_id: str
    lines: tuple[LineQuantity, ...]

    @property
    def subject(self) -> str:
        return f"reservation-{self.reservation_id}"

    @property
    def key(self) -> str:
        return self.order_id


class ReserveStock(ReservationRequest, frozen=True, kw_only=True, tag="oms.inventory.reserve.v1"):
    """Promise all lines, or none. ``hold_seconds`` is how long the promise stands unless
    committed.
    """

    backorder: BackorderPolicy
    hold_seconds: int


class CommitReservation(
    ReservationRequest, frozen=True, kw_only=True, tag="oms.inventory.commit.v1"
):
    """The order is paid: the promise no longer expires."""


class ConsumeReservation(
    ReservationRequest, frozen=True, kw_only=True, tag="oms.inventory.consume.v1"
):
    """``lines`` left ``location`` in one package; partly or wholly consumes a committed
    reservation.
    """

    package_id: str
    location: str


class ReleaseReservation(
    ReservationRequest, frozen=True, kw_only=True, tag="oms.inventory.release.v1"
):
    """Give back what is still held of ``lines``; no lines means everything. ``location`` empty
    means at every location.

    ``release_id``, where given, makes a partial release count once however often it arrives.
    """

    reason: str
    location: str = ""
    release_id: str = ""


class StockCommand(Command, frozen=True, kw_only=True):
    """A command about physical stock. ``movement_id`` is the sender's own key: the same movement
    counts once.
    """

    movement_id: str
    lines: tuple[StockLine, ...]

    @property
    def subject(self) -> str:
        return f"movement-{self.movement_id}"

    @property
    def key(self) -> str:
        return self.movement_id


class RegisterItem(Command, frozen=True, kw_only=True, tag="oms.inventory.register_item.v1"):
    """Make a SKU known; only known SKUs can be ordered or stocked."""

    sku: str
    description: str = ""

    @property
    def subject(self) -> str:
        return f"stock-{self.sku}"

    @property
    def key(self) -> str:
        return self.sku


class ReceiveStock(StockCommand, frozen=True, kw_only=True, tag="oms.inventory.receive.v1"):
    """Goods arrived at a location. Unknown SKUs are registered by their first receipt."""

    reference: str = ""


class AdjustStock(StockCommand, frozen=True, kw_only=True, tag="oms.inventory.adjust.v1"):
    """A person corrects the count, up or down, and says why."""

    reason: str
    actor: str = ""


class RestockItems(StockCommand, frozen=True, kw_only=True, tag="oms.inventory.restock.v1"):
    """Inspected returns go back on the shelf."""

    return_id: str
    order_id: str

    @classmethod
    def route(cls) -> str:
        return Request.route()


class ReservationEvent(Event, frozen=True, kw_only=True):
    """Something that happened to one reservation: stream ``reservation-<reservation_id>``."""

    reservation_id: str
    order_id: str

    @property
    def subject(self) -> str:
        return f"reservation-{self.reservation_id}"

    @property
    def key(self) -> str:
        return self.order_id


class StockReserved(ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.reserved.v1"):
    """HELD: every unit is promised from a location until ``expires_at``."""

    allocations: tuple[Allocation, ...]
    expires_at: Instant


class StockBackordered(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.backordered.v1"
):
    """BACKORDERED: the reservation stands in line, first in first out, for each of its SKUs."""

    lines: tuple[LineQuantity, ...]
    hold_seconds: int


class ReservationRejected(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.reservation_rejected.v1"
):
    """REJECTED: ``shortages`` are the missing units of each line; none where the request itself
    was ``invalid`` (no lines or too many, a line id twice, a quantity or hold out of range).
    """

    reason: Literal["out_of_stock", "unknown_sku", "invalid"]
    shortages: tuple[LineQuantity, ...]


class ReservationCommitted(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.reservation_committed.v1"
):
    """COMMITTED: the units are allocated to the order and no longer expire."""

    allocations: tuple[Allocation, ...]


class CommitRefused(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.commit_refused.v1"
):
    """A commit came for a reservation that holds nothing: ``reason`` is where it stands. Nothing
    is promised by it; ask for another reservation, or wait for the one that is backordered. A
    hold that has just run out is answered with `ReservationExpired` instead.
    """

    reason: Literal["unknown", "backordered", "rejected", "released", "expired"]


class ReservationConsumed(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.reservation_consumed.v1"
):
    """Units of the reservation left the location in a package; CONSUMED when ``open_units`` is
    0.
    """

    package_id: str
    allocations: tuple[Allocation, ...]
    open_units: int


class ReservationReleased(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.reservation_released.v1"
):
    """Units went back to stock; RELEASED when ``open_units`` is 0 and nothing was consumed.
    ``committed`` tells which quantity they came from: allocated (true) or reserved.

    Without allocations and with ``open_units`` 0 it is the answer for a reservation that held
    nothing: it was waiting, had ended by itself (and stays what it was), or was never asked for
    (and now never will be granted).
    """

    reason: str
    allocations: tuple[Allocation, ...]
    committed: bool
    open_units: int
    release_id: str = ""


class ReservationExpired(
    ReservationEvent, frozen=True, kw_only=True, tag="oms.inventory.reservation_expired.v1"
):
    """EXPIRED: nobody committed in time; the units went back to stock."""

    allocations: tuple[Allocation, ...]


class StockEvent(Event, frozen=True, kw_only=True):
    """Something that happened to the stock of one SKU, all locations: stream ``stock-<sku>``."""

    sku: str

    @property
    def subject(self) -> str:
        return f"stock-{self.sku}"

    @property
    def key(self) -> str:
        return self.sku


class ItemRegistered(StockEvent, frozen=True, kw_only=True, tag="oms.inventory.item_registered.v1"):
    """The SKU is known from now on."""

    description: str


class StockReceived(StockEvent, frozen=True, kw_only=True, tag="oms.inventory.received.v1"):
    """Goods arrived: on_hand rises."""

    location: str
    quantity: int
    movement_id: str
    reference: str


class StockAdjusted(StockEvent, frozen=True, kw_only=True, tag="oms.inventory.adjusted.v1"):
    """on_hand was corrected by ``quantity`` (signed)."""

    location: str
    quantity: int
    movement_id: str
    reason: str
    actor: str


class StockRestocked(StockEvent, frozen=True, kw_only=True, tag="oms.inventory.restocked.v1"):
    """Returned units are sellable again: on_hand rises."""

    location: str
    quantity: int
    movement_id: str
    return_id: str
    order_id: str


class _ReservationMovement(StockEvent, frozen=True, kw_only=True):
    """A reservation's effect on one SKU; private, because the reservation's own event says it
    whole.
    """

    private: ClassVar[bool] = True

    reservation_id: str
    units: tuple[StockLine, ...]


class UnitsReserved(
    _ReservationMovement, frozen=True, kw_only=True, tag="oms.inventory.units_reserved.v1"
):
    """reserved rises."""


class UnitsAllocated(
    _ReservationMovement, frozen=True, kw_only=True, tag="oms.inventory.units_allocated.v1"
):
    """reserved becomes allocated."""


class UnitsShipped(
    _ReservationMovement, frozen=True, kw_only=True, tag="oms.inventory.units_shipped.v1"
):
    """allocated and on_hand fall."""

    package_id: str


class UnitsReleased(
    _ReservationMovement, frozen=True, kw_only=True, tag="oms.inventory.units_released.v1"
):
    """reserved (or allocated, when ``committed``) falls."""

    committed: bool


class BackorderQueued(
    StockEvent, frozen=True, kw_only=True, tag="oms.inventory.backorder_queued.v1"
):
    """A reservation joined the end of this SKU's line, wanting ``quantity`` in all; ``lines`` are
    its lines of this SKU.

    The other lines stand in the reservation's own stream: repeating them here would make a
    backorder of n SKUs cost n².
    """

    private: ClassVar[bool] = True

    reservation_id: str
    order_id: str
    quantity: int
    lines: tuple[LineQuantity, ...]


class BackorderLeft(StockEvent, frozen=True, kw_only=True, tag="oms.inventory.backorder_left.v1"):
    """A reservation left this SKU's line: ``filled``, or given up. ``quantity`` is what it stood
    in line for.
    """

    private: ClassVar[bool] = True

    reservation_id: str
    quantity: int
    filled: bool


class MovementRecorded(Event, frozen=True, kw_only=True, tag="oms.inventory.movement_recorded.v1"):
    """A movement's id was used up: stream ``movement-<movement_id>``. What it moved stands in
    the stock streams.
    """

    private: ClassVar[bool] = True

    movement_id: str
    kind: Literal["receive", "adjust", "restock"]
    lines: tuple[StockLine, ...]

    @property
    def subject(self) -> str:
        return f"movement-{self.movement_id}"

    @property
    def key(self) -> str:
        return self.movement_id
