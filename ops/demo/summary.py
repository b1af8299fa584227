"""What a run came to: numbers for programs, and the line that scripts look for."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from ops.cli.client import Running, get
from ops.demo.stories import End
from ops.demo.tracker import Progress, latencies_ms, percentile
from ops.demo.world import EVENT_SOURCED, World


@dataclass(frozen=True)
class Summary:
    """The run, and what the system says about itself afterwards."""

    world: World
    stock: dict[str, Counter[str]]
    mails: int
    parked: int
    seconds: float

    @property
    def outcomes(self) -> Counter[End]:
        """Orders by the end that was decided for them and reached."""
        return self.world.tracker.outcomes()

    @property
    def unfinished(self) -> list[Progress]:
        """Orders elsewhere."""
        return self.world.tracker.unfinished

    @property
    def failures(self) -> list[str]:
        """Requests of shoppers and customers that went wrong."""
        return [*self.world.shoppers.failures, *self.world.customers.failures]

    @property
    def good(self) -> bool:
        """Whether every order reached its expected end and nothing is parked or failed."""
        return not self.unfinished and not self.parked and not self.failures

    def last_line(self, violations: int) -> str:
        """``orders=N completed=N …``"""
        ends = " ".join(f"{end}={self.outcomes[end]}" for end in End)
        return (
            f"orders={len(self.world.tracker.orders)} {ends} "
            f"unfinished={len(self.unfinished)} violations={violations}"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same for programs; money in minor units, times in milliseconds."""
        confirm = latencies_ms(self.world.tracker.orders)
        posted = sorted(self.world.shoppers.posted_ms)
        return {
            "orders": len(self.world.tracker.orders),
            "outcomes": {end.value: self.outcomes[end] for end in End},
            "unfinished": [p.planned.order_id for p in self.unfinished],
            "seconds": round(self.seconds, 3),
            "confirm_ms": {"p50": percentile(confirm, 50), "p99": percentile(confirm, 99)},
            "post_ms": {"p50": percentile(posted, 50), "p99": percentile(posted, 99)},
            "money": {
                currency: {
                    "authorised": m.authorised,
                    "captured": m.captured,
                    "refunded": m.refunded,
                    "voided": m.voided,
                }
                for currency, m in sorted(self.world.tracker.money.items())
            },
            "stock": {location: dict(levels) for location, levels in sorted(self.stock.items())},
            "parcels": dict(self.world.tracker.parcels),
            "mails": self.mails,
            "parked_keys": self.parked,
            "failures": self.failures,
        }


async def summarise(world: World, mails_before: int) -> Summary:
    """Ask the system what it knows, after the run."""
    return Summary(
        world,
        await stock_by_location(world.running),
        await mails(world.running) - mails_before,
        await parked_keys(world.running),
        world.seconds,
    )


async def stock_by_location(running: Running) -> dict[str, Counter[str]]:
    """Units on hand, reserved, allocated and available, summed per location, as the views know them."""
    found: dict[str, Counter[str]] = {}
    async with running.http("views", "ops") as http:
        query: dict[str, Any] = {"limit": 200}
        while True:
            page = await get(http, "/availability", **query)
            for level in page["items"]:
                sums = found.setdefault(level["location"], Counter())
                for name in ("on_hand", "reserved", "allocated", "available"):
                    sums[name] += level[name]
            if not page["next"]:
                return found
            query["cursor"] = page["next"]


async def mails(running: Running) -> int:
    """Different e-mails that reached the mail sink."""
    async with running.http("sink") as http:
        return int((await get(http, "/messages", limit=1))["total"])


async def parked_keys(running: Running) -> int:
    """Keys that some service could not go on with, in all services."""
    total = 0
    for service in (*EVENT_SOURCED, "views"):
        async with running.http(service, "ops") as http:
            total += len((await get(http, "/parked"))["items"])
            if service != "views":
                total += sum(e["parked"] for e in (await get(http, "/effects"))["items"])
    return total
