"""Which message needs which streams, and what decides about it."""

from typing import Any

from services.inventory.domain import movements, reservation, reserving, settling, stock
from services.inventory.domain.messages import (
    INTERNAL,
    ExpireReservation,
    FillBackorder,
    WakeBackorder,
)
from shared.events.inventory import (
    AdjustStock,
    CommitReservation,
    ConsumeReservation,
    ReceiveStock,
    RegisterItem,
    ReleaseReservation,
    ReserveStock,
    RestockItems,
)
from shared.ledger.table import Category, Handler, Table, one


def with_lines(m: Any) -> list[str]:
    """The message's own stream, and the stock of every SKU in its lines."""
    return [m.subject, *dict.fromkeys([f"stock-{line.sku}" for line in m.lines])]


def with_skus(m: Any) -> list[str]:
    """The message's own stream, and the stock of every SKU that it names."""
    return [m.subject, *[f"stock-{sku}" for sku in m.skus]]


TABLE = Table(
    "inventory",
    categories=[
        Category("stock", stock.initial, stock.evolve, react=stock.react, guard=stock.guard),
        Category("reservation", reservation.initial, reservation.evolve),
        Category("movement", movements.initial, movements.evolve),
    ],
    handlers={
        ReserveStock: Handler(with_lines, reserving.reserve),
        CommitReservation: Handler(with_lines, settling.commit),
        ConsumeReservation: Handler(with_lines, settling.consume),
        ReleaseReservation: Handler(with_lines, settling.release),
        ExpireReservation: Handler(with_skus, settling.expire),
        WakeBackorder: one(reserving.wake),
        FillBackorder: Handler(with_skus, reserving.fill),
        RegisterItem: one(movements.register),
        ReceiveStock: Handler(with_lines, movements.receive),
        AdjustStock: Handler(with_lines, movements.adjust),
        RestockItems: Handler(with_lines, movements.restock),
    },
    internal=INTERNAL,
)
