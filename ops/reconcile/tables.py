"""The services' own tables: how their logs are decoded and folded. Settings change what is decided, never a fold."""

from functools import cache

from services.fulfillment import handlers as fulfillment
from services.integrations import handlers as integrations
from services.inventory import handlers as inventory
from services.notifications import handlers as notifications
from services.order import handlers as order
from services.order.domain.saga import Policy
from services.returns import handlers as returns
from shared.ledger.table import Table


@cache
def table_of(service: str) -> Table:
    """A service's table. Raises LookupError for a service that has no streams."""
    match service:
        case "order":
            return order.table(Policy())
        case "inventory":
            return inventory.TABLE
        case "fulfillment":
            return fulfillment.table()
        case "returns":
            return returns.table()
        case "notifications":
            return notifications.table()
        case "integrations":
            return integrations.table()
        case _:
            raise LookupError(f"{service!r} is no service with streams")
