"""Messages that the service sends to itself through timers; they never travel.

``skus`` name the stock streams to lock. What is to be moved stands in the reservation's own state.
"""

from shared.events import Command


class ReservationTimer(Command, frozen=True, kw_only=True):
    """A timer of one reservation."""

    reservation_id: str
    order_id: str

    @classmethod
    def route(cls) -> None:
        """Stays in this service."""
        return

    @property
    def subject(self) -> str:
        """The reservation's stream."""
        return f"reservation-{self.reservation_id}"

    @property
    def key(self) -> str:
        """The order's id."""
        return self.order_id


class ExpireReservation(
    ReservationTimer, frozen=True, kw_only=True, tag="oms.inventory.expire_reservation.v1"
):
    """The hold's time may be over; the decider judges."""

    skus: tuple[str, ...]


class WakeBackorder(
    ReservationTimer, frozen=True, kw_only=True, tag="oms.inventory.wake_backorder.v1"
):
    """One SKU's line has moved far enough for this reservation: see what else it needs."""


class FillBackorder(
    ReservationTimer, frozen=True, kw_only=True, tag="oms.inventory.fill_backorder.v1"
):
    """Grant a waiting reservation, if every SKU's line has moved far enough."""

    skus: tuple[str, ...]


INTERNAL = (ExpireReservation, WakeBackorder, FillBackorder)
