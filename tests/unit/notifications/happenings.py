"""What happens to one order, as the notifications service hears of it."""

from __future__ import annotations

from datetime import UTC, datetime

from services.notifications.domain.messages import SendEmail
from shared.events import Address, Customer, LineQuantity, Money
from shared.events import notifications as n
from shared.events import order as o

ORDER = "0b6f"
MINE = {"order_id": ORDER}
STREAM = f"correspondence-{ORDER}"
LINES = (LineQuantity(line_id="1", sku="MUG", quantity=2),)


def placed(email: str = "ada@example.com", name: str = "Ada") -> o.OrderPlaced:
    return o.OrderPlaced(
        **MINE,
        channel="web",
        external_id="A-1",
        currency="GBP",
        lines=(),
        charges=(),
        total=1250,
        customer=Customer(name=name, email=email),
        ship_to=Address(),
        payment_method="tok",
        backorder="refuse",
        placed_at=datetime(2026, 1, 5, tzinfo=UTC),
    )


OPENED = n.CorrespondenceOpened(
    **MINE, channel="web", external_id="A-1", name="Ada", email="ada@example.com"
)
CONFIRMED = o.OrderConfirmed(**MINE, channel="web", external_id="A-1", total=Money(1250, "GBP"))
REJECTED = o.OrderRejected(**MINE, reason="out_of_stock")
CANCELLED = o.OrderCancelled(**MINE, reason="customer")
SHIPPED = o.OrderShipped(
    **MINE,
    fulfillment_id="f1",
    package_id="f1.p1",
    location="L1",
    lines=LINES,
    carrier="DHL",
    tracking_number="JD01",
)
REFUNDED = o.RefundIssued(
    **MINE, refund_id="r", payment_id="p", return_id="t", amount=Money(500, "GBP")
)
TOLD = (CONFIRMED, REJECTED, CANCELLED, SHIPPED, REFUNDED)


def mail(**changes: object) -> SendEmail:
    """A request as the decider makes it, with changes."""
    values: dict[str, object] = {
        "notification_id": "n-1",
        "order_id": ORDER,
        "template": "order_confirmed",
        "to": "ada@example.com",
        "name": "Ada",
        "channel": "web",
        "external_id": "A-1",
        "at": datetime(2026, 1, 5, 12, tzinfo=UTC),
        "amount": Money(1250, "GBP"),
    }
    return SendEmail(**(values | changes))  # type: ignore[arg-type]
