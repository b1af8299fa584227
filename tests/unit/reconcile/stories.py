"""The stories that the tests reconcile: every way in which an order can go."""

from datetime import timedelta

from services.notifications.domain.messages import RegisterEndpoint
from shared.events import Charge
from shared.events import order as o
from tests.unit.reconcile.world import Shop, World, line, units


async def play(world: World) -> dict[str, str]:
    """One order of each kind; their ids by name. Nothing is left under way."""
    shop = Shop(world)
    for sku, east, west in (("TEA", 50, 0), ("MUG", 20, 20), ("POT", 3, 4)):
        await shop.stock(sku, "EAST", east)
        if west:
            await shop.stock(sku, "WEST", west)
    hook = RegisterEndpoint(
        endpoint_id="erp", url="https://erp.example.com/hooks", types=(o.OrderShipped.tag(),)
    )
    await world.tell("notifications", hook)
    ids: dict[str, str] = {}
    charges = (
        Charge(kind="shipping", amount=499),
        Charge(kind="tax", amount=777),
        Charge(kind="discount", amount=101),
        Charge(kind="fee", amount=50),
    )
    ids["plain"] = await shop.place("1", line("1", "TEA", 2), line("2", "MUG", 1, 333))
    await shop.ship(ids["plain"])
    ids["charged"] = await shop.place(
        "2", line("1", "TEA", 3, 333), line("2", "MUG", 4, 105), charges=charges
    )
    await shop.ship(ids["charged"], parcels=3)
    ids["returned"] = ids["charged"]
    await shop.send_back(ids["charged"], units("1", "TEA", 2), units("2", "MUG", 1))
    await shop.send_back(ids["charged"], units("2", "MUG", 2), disposition="scrap", id="ret-b")
    ids["split"] = await shop.place("3", line("1", "POT", 6))
    await shop.ship(ids["split"], 1)
    await shop.ship(ids["split"], 2, short=1)
    ids["nothing"] = await shop.place("4", line("1", "MUG", 2))
    await shop.ship(ids["nothing"], short=2)
    ids["declined"] = await shop.place("5", line("1", "TEA", 1), payment_method="tok_declined")
    ids["refused"] = await shop.place("6", line("1", "POT", 500))
    ids["cancelled"] = await shop.place("7", line("1", "MUG", 1))
    await world.tell("order", o.CancelOrder(order_id=ids["cancelled"], reason="changed my mind"))
    ids["backordered"] = await shop.place("8", line("1", "POT", 5), backorder="wait")
    ids["gave_up"] = await shop.place("9", line("1", "POT", 9), backorder="wait")
    await world.tell("order", o.CancelOrder(order_id=ids["gave_up"], reason="too slow"))
    await shop.stock("POT", "EAST", 5)
    await shop.ship(ids["backordered"])
    ids["fees"] = await shop.place("10", charges=(Charge(kind="fee", amount=900),))
    ids["free"] = await shop.place("11", line("1", "TEA", 1, 0))
    await shop.ship(ids["free"])
    ids["invalid"] = await shop.place("12", line("1", "TEA", 1), currency="gbp")
    world.now += timedelta(minutes=1)
    await world.settle()
    return ids
