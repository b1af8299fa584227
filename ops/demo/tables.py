"""What a run came to, and where to look: tables for people."""

from collections import Counter

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.cli.client import Running
from ops.demo.plan import CHANNELS, by_story
from ops.demo.stories import End
from ops.demo.summary import Summary
from ops.demo.tracker import latencies_ms, percentile
from ops.demo.world import EVENT_SOURCED

SHOWN_MAX = 12
#: Terminals narrower than this get the stories without their notes.
NOTES_WIDTH_MIN = 118
ELSEWHERE = "wrong"


def render(summary: Summary, width: int) -> RenderableType:
    """Everything, for a terminal of ``width`` characters."""
    parts: list[RenderableType] = [
        _stories(summary, notes=width >= NOTES_WIDTH_MIN),
        _speed(summary),
        _money(summary),
        _stock(summary),
    ]
    if summary.unfinished:
        parts.append(_unfinished(summary))
    if summary.failures:
        lines = "\n".join(f"  {text}" for text in summary.failures[:SHOWN_MAX])
        parts.append(Text(f"{len(summary.failures)} requests went wrong:\n{lines}", style="red"))
    if summary.parked:
        said = f"{summary.parked} keys or calls are parked: see `oms parked list`"
        parts.append(Text(said, style="red"))
    return Group(*parts)


def plain_table(title: str, *columns: str, footer: bool = False) -> Table:
    """A table without frames: the first column is text, the others are numbers."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        show_footer=footer,
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n == 0 else "right", no_wrap=n == 0)
    return table


def _stories(summary: Summary, *, notes: bool) -> Table:
    ends = [*(end.value for end in End), ELSEWHERE]
    table = plain_table("\nOrders, by how they went", "", "orders", *ends, footer=True)
    if notes:
        table.add_column("", style="dim")
    totals: Counter[str] = Counter()
    for story, orders in by_story(summary.world.plan.orders).items():
        ended: Counter[str] = Counter()
        for planned in orders:
            p = summary.world.tracker.orders[planned.order_id]
            ended[p.end.value if p.end is not None and p.right else ELSEWHERE] += 1
        totals.update(ended)
        cells = [f"{ended[end]:,}" if ended[end] else "·" for end in ends]
        table.add_row(story.name, f"{len(orders):,}", *cells, *([story.note] if notes else []))
    for column, n in zip(
        table.columns[1:], [totals.total(), *(totals[end] for end in ends)], strict=False
    ):
        column.footer = f"{n:,}"
    return table


def _speed(summary: Summary) -> Table:
    orders = summary.world.tracker.orders
    table = plain_table("How fast", "", "orders", "p50 ms", "p99 ms")
    posted = sorted(summary.world.shoppers.posted_ms)
    table.add_row("POST to the gateway, durable before the answer", *_percentiles(posted))
    for channel, road in CHANNELS.items():
        of = {id: p for id, p in orders.items() if p.planned.command.channel == channel}
        table.add_row(f"placed to confirmed, {channel} ({road})", *_percentiles(latencies_ms(of)))
    table.add_row("placed to confirmed, all", *_percentiles(latencies_ms(orders)))
    table.caption = (
        f"Without orders that waited for stock. All {len(orders):,} orders, from the first placed to the last "
        f"end: {summary.seconds:.1f} s."
    )
    table.caption_justify = "left"
    return table


def _percentiles(values: list[float]) -> tuple[str, str, str]:
    return (
        f"{len(values):,}",
        f"{percentile(values, 50):,.0f}",
        f"{percentile(values, 99):,.0f}",
    )


def _money(summary: Summary) -> Table:
    table = plain_table("\nMoney", "", "authorised", "captured", "refunded", "given up")
    for currency, m in sorted(summary.world.tracker.money.items()):
        amounts = (m.authorised, m.captured, m.refunded, m.voided)
        table.add_row(currency, *(f"{a // 100:,}.{a % 100:02}" for a in amounts))
    table.caption = f"{summary.mails:,} e-mails sent."
    table.caption_justify = "left"
    return table


def _stock(summary: Summary) -> Table:
    columns = ("on hand", "reserved", "allocated", "available", "parcels sent")
    table = plain_table("\nStock", "", *columns)
    for location, sums in sorted(summary.stock.items()):
        cells = [f"{sums[x]:,}" for x in ("on_hand", "reserved", "allocated", "available")]
        table.add_row(location, *cells, f"{summary.world.tracker.parcels[location]:,}")
    return table


def _unfinished(summary: Summary) -> Table:
    title = f"\n{len(summary.unfinished)} orders are not where they should be"
    table = Table(title=title, title_justify="left", title_style="bold red", box=box.SIMPLE_HEAD)
    for name in ("order", "story", "should be", "is"):
        table.add_column(name)
    for p in summary.unfinished[:SHOWN_MAX]:
        should = " or ".join(sorted(p.planned.story.ends))
        table.add_row(p.planned.order_id, p.planned.story.name, should, p.now)
    table.caption = "Look at one with `oms why ORDER`."
    table.caption_justify = "left"
    return table


def addresses(running: Running, order_id: str = "") -> Text:
    """Where to look, and the keys: nothing is open without one. Lines to copy from, never cut to a width."""
    views = running.urls["views"]
    pages = [("orders", f"{views}/")]
    if order_id:
        pages.append(("one order", f"{views}/orders/{order_id}/page"))
        pages.append(("the same here", f"oms why {order_id}"))
    pages.append(("sales, channels, stock", f"{running.urls['insights']}/"))
    pages.append(("e-mails", f"{running.urls['sink']}/"))
    documented = (*EVENT_SOURCED, "views", "insights")
    pages += [(f"{service} API", f"{running.urls[service]}/docs") for service in documented]
    metrics = f"{running.urls['order']}/metrics, likewise of each service (ops)"
    pages.append(("metrics", metrics))
    keys = [
        ("sign in to the pages (agent)", running.keys["views"]["agent"]),
        ("sign in to the insights (agent)", running.keys["insights"]["agent"]),
        ("place orders (channel web)", running.keys["integrations"]["channel:web"]),
        ("metrics and feed of orders (ops)", running.keys["order"]["ops"]),
        ("all keys", str(running.data / "keys" / "plain.json")),
    ]
    out = Text()
    for head, rows in (("Look at", pages), ("Keys of this system", keys)):
        width = max(len(name) for name, _ in rows)
        out.append(f"\n{head}\n", style="bold")
        out.append("".join(f"{name:<{width}}  {value}\n" for name, value in rows))
    return out
