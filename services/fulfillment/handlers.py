"""Which message goes to which decider."""

from services.fulfillment.domain import packages, picking
from services.fulfillment.domain.automatic import Automatic
from services.fulfillment.domain.state import evolve, initial
from services.fulfillment.worklist import projection
from shared.events.fulfillment import (
    CancelFulfillment,
    ConfirmDelivery,
    CreateFulfillment,
    PackItems,
    RecordPick,
    ReleasePackage,
    ShipPackage,
    StartPicking,
)
from shared.ledger.table import Category, Table, one


def table(automatic: frozenset[str] = frozenset()) -> Table:
    """The fulfillment service; ``automatic`` locations confirm by themselves, ``*`` means all."""
    auto = Automatic(automatic)
    return Table(
        "fulfillment",
        [Category("fulfillment", initial, evolve, schema=2)],
        {
            CreateFulfillment: one(auto.create),
            StartPicking: one(picking.start_picking),
            RecordPick: one(picking.record_pick),
            PackItems: one(packages.pack),
            ReleasePackage: one(auto.release),
            ShipPackage: one(packages.ship),
            ConfirmDelivery: one(packages.confirm_delivery),
            CancelFulfillment: one(picking.cancel),
        },
        projection=projection(auto),
    )
