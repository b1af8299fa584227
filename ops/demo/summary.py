"""What a run came to: tables for people, a dictionary for programs, and the line that scripts look for."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.cli.client import Running, get
from ops.demo.plan import CHANNELS, by_story
from ops.demo.stories import End
from ops.demo.tracker import Progress, latencies_ms, percentile
from ops.demo.world import EVENT_SOURCED, World

UNFINISHED_SHOWN_MAX = 12


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
                currency: {"authorised": m.authorised, "captured": m.captured, "refunded": m.refunded, "voided": m.voided}
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


def render(summary: Summary) -> RenderableType:
    """The tables."""
    parts: list[RenderableType] = [_stories(summary), _channels(summary), _money(summary), _stock(summary)]
    if summary.unfinished:
        parts.append(_unfinished(summary))
    if summary.failures:
        lines = "\n".join(f"  {text}" for text in summary.failures[:UNFINISHED_SHOWN_MAX])
        parts.append(Text(f"{len(summary.failures)} requests went wrong:\n{lines}", style="red"))
    if summary.parked:
        parts.append(Text(f"{summary.parked} keys or calls are parked: see `oms parked list`", style="red"))
    return Group(*parts)


def _table(title: str, *columns: str, footer: bool = False) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_footer=footer, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n == 0 else "right")
    return table


def _stories(summary: Summary) -> Table:
    table = _table("\nOrders, by how they went", "story", "orders", *(e.value for e in End), "elsewhere", footer=True)
    table.add_column("", style="dim")
    totals: Counter[str] = Counter()
    for story, orders in by_story(summary.world.plan.orders).items():
        ended: Counter[str] = Counter()
        for planned in orders:
            p = summary.world.tracker.orders[planned.order_id]
            ended[p.end.value if p.end is not None and p.right else "elsewhere"] += 1
        totals.update(ended)
        names = [*(e.value for e in End), "elsewhere"]
        cells = [str(ended[name]) if ended[name] else "·" for name in names]
        table.add_row(story.name, str(len(orders)), *cells, story.note)
    table.columns[1].footer = str(len(summary.world.plan.orders))
    for column, name in zip(table.columns[2:], [*(e.value for e in End), "elsewhere"], strict=False):
        column.footer = str(totals[name])
    return table


def _channels(summary: Summary) -> Table:
    world = summary.world
    table = _table("\nHow fast", "", "orders", "p50 ms", "p99 ms")
    posted = sorted(world.shoppers.posted_ms)
    table.add_row("POST /orders, durable before the answer", str(len(posted)), *_percentiles(posted))
    for channel, road in CHANNELS.items():
        of = {id: p for id, p in world.tracker.orders.items() if p.planned.command.channel == channel}
        values = latencies_ms(of)
        table.add_row(f"placed to confirmed, {channel} ({road})", str(len(values)), *_percentiles(values))
    table.add_row("placed to confirmed, all but those that waited for stock", *_counted(latencies_ms(world.tracker.orders)))
    table.add_row(f"all orders, first to last, in {summary.seconds:.1f} s", str(len(world.tracker.orders)), "", "")
    return table


def _counted(values: list[float]) -> tuple[str, str, str]:
    p50, p99 = _percentiles(values)
    return str(len(values)), p50, p99


def _percentiles(values: list[float]) -> tuple[str, str]:
    return f"{percentile(values, 50):,.0f}", f"{percentile(values, 99):,.0f}"


def _money(summary: Summary) -> Table:
    table = _table("\nMoney", "currency", "authorised", "captured", "refunded", "given up")
    for currency, m in sorted(summary.world.tracker.money.items()):
        amounts = (m.authorised, m.captured, m.refunded, m.voided)
        table.add_row(currency, *(f"{a // 100:,}.{a % 100:02}" for a in amounts))
    table.caption = f"{summary.mails} e-mails sent"
    table.caption_justify = "left"
    return table


def _stock(summary: Summary) -> Table:
    table = _table("\nStock", "location", "on hand", "reserved", "allocated", "available", "parcels sent")
    for location, sums in sorted(summary.stock.items()):
        cells = [f"{sums[x]:,}" for x in ("on_hand", "reserved", "allocated", "available")]
        table.add_row(location, *cells, str(summary.world.tracker.parcels[location]))
    return table


def _unfinished(summary: Summary) -> Table:
    table = _table(f"\n{len(summary.unfinished)} orders are not where they should be", "order", "story", "should be", "is")
    for p in summary.unfinished[:UNFINISHED_SHOWN_MAX]:
        should = " or ".join(sorted(p.planned.story.ends))
        now = p.end or ("confirmed" if p.confirmed_at else "placed" if p.placed_at else "not placed")
        table.add_row(p.planned.order_id, p.planned.story.name, should, str(now))
    table.caption = "look at one with `oms why ORDER`"
    return table


def addresses(running: Running, order_id: str = "") -> RenderableType:
    """Where to look, and the keys: nothing is open without one."""
    pages = Table.grid(padding=(0, 2))
    views = running.urls["views"]
    pages.add_row("orders", f"{views}/")
    if order_id:
        pages.add_row("one order", f"{views}/orders/{order_id}/page")
        pages.add_row("", f"oms why {order_id}")
    pages.add_row("e-mails", f"{running.urls['sink']}/")
    for service in (*EVENT_SOURCED, "views"):
        pages.add_row(f"{service} API", f"{running.urls[service]}/openapi.json")
    pages.add_row("metrics", f"{running.urls['order']}/metrics, and so on for each (role ops)")
    keys = Table.grid(padding=(0, 2))
    keys.add_row("sign in to the pages (agent)", running.keys["views"]["agent"])
    keys.add_row("place orders (channel web)", running.keys["order"]["channel:web"])
    keys.add_row("metrics and feed of orders (ops)", running.keys["order"]["ops"])
    keys.add_row("all keys", str(running.data / "keys" / "plain.json"))
    heads = [Text(f"\n{words}", style="bold") for words in ("Look at", "Keys of this system")]
    return Group(heads[0], pages, heads[1], keys)
