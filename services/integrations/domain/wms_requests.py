"""What the fulfillment service tells, to the warehouse: submit, clear, cancel."""

import msgspec

from services.integrations.domain.wms import Cancellation, Handshake, WmsOrder
from shared.events import Context, Items
from shared.events import fulfillment as f
from shared.events import wms as w


class Submitting(msgspec.Struct, frozen=True):
    """Submits what is to leave from the ``locations`` that an external warehouse handles."""

    locations: frozenset[str] = frozenset()

    def opened(self, state: WmsOrder, event: f.FulfillmentOpened, _: Context) -> Items:
        """Ask the warehouse to pick."""
        if event.location not in self.locations or state.handshake is not Handshake.UNSUBMITTED:
            return []
        return [
            w.FulfillmentSubmitted(
                fulfillment_id=event.fulfillment_id,
                order_id=event.order_id,
                location=event.location,
                lines=event.lines,
                ship_to=event.ship_to,
            )
        ]


def released(state: WmsOrder, event: f.PackageReleased, context: Context) -> Items:
    """The package is paid for: the warehouse may hand it over."""
    name = event.package_id.removeprefix(f"{event.fulfillment_id}.")
    package = state.packages.get(name)
    if package is None or package.cleared:
        return []
    return [
        w.PackageCleared(
            fulfillment_id=event.fulfillment_id,
            order_id=event.order_id,
            location=state.location,
            package=name,
        )
    ]


def cancelled(state: WmsOrder, event: f.FulfillmentCancelled, context: Context) -> Items:
    """The fulfillment was stopped before anything was paid for: the warehouse is to stop too."""
    stands = state.handshake in (Handshake.SUBMITTED, Handshake.ACCEPTED)
    if not stands or state.cancellation is not Cancellation.NONE:
        return []
    return [
        w.WmsCancellationRequested(
            fulfillment_id=event.fulfillment_id,
            order_id=event.order_id,
            location=state.location,
            reason=event.reason,
        )
    ]
