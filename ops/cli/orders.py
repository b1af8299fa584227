"""``oms order show`` and ``oms why``: one order, whole, and what led to what."""

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ops.cli.client import find, get
from ops.cli.codes import CliError, Exit
from ops.cli.output import Output
from shared.events.currencies import shown
from shared.events.order import order_id_for

CANDIDATES_MAX = 10


async def show(data: Path, name: str, out: Output) -> Exit:
    """One order: its axes, lines, money, parcels and returns."""
    running = find(data)
    async with running.http("views", "ops") as http:
        order = await get(http, f"/orders/{await resolve(http, name)}")
    out.answer(order)
    out.say(f"Order {order['number']} of {order['channel']}  {order['id']}", style="bold")
    out.say(_axes(order))
    for part in (_lines(order), _money(order), *_movements(order)):
        out.draw(part)
    out.say(f"\n{running.urls['views']}/orders/{order['id']}/page", style="dim")
    return Exit.OK


async def why(data: Path, name: str, out: Output) -> Exit:
    """What led to what in one order, across the services, as a tree."""
    running = find(data)
    async with running.http("views", "ops") as http:
        found = await get(http, f"/orders/{await resolve(http, name)}/why")
    out.answer(found)
    out.draw(_tree(found))
    return Exit.OK


async def resolve(http: httpx.AsyncClient, name: str) -> str:
    """The order's id, from the id itself, ``CHANNEL/NUMBER``, or anything that the order can be found by.

    Raises `CliError` when no order, or more than one, is meant.
    """
    if not name.strip():
        raise CliError(Exit.USAGE, "name an order: its id, CHANNEL/NUMBER or number")
    channel, slash, number = name.partition("/")
    if slash:
        return order_id_for(channel, number)
    try:
        return str(UUID(name))
    except ValueError:
        found = (await get(http, "/orders", q=name, limit=CANDIDATES_MAX))["items"]
    if len(found) == 1:
        return str(found[0]["id"])
    if not found:
        raise CliError(
            Exit.PROBLEM, f"no order is known as {name!r}: give its id, CHANNEL/NUMBER or number"
        )
    ids = "\n".join(f"  {x['id']}  {x['channel']}/{x['number']}" for x in found)
    raise CliError(Exit.USAGE, f"{name!r} is said of several orders; give one of these ids:\n{ids}")


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=f"\n{title}",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n == 0 else "right", overflow="fold")
    return table


def _axes(order: dict[str, Any]) -> str:
    status = order["status"]
    words = [f"{axis} {status[axis]}" for axis in ("order", "payment", "fulfillment", "returns")]
    words += [
        word
        for word, raised in (("on hold", status["on_hold"]), ("cancelling", status["cancelling"]))
        if raised
    ]
    lines = [" · ".join(words)]
    lines += [
        f"{label}: {order[field]}"
        for label, field in (("reason", "reason"), ("placed", "placed_at"), ("ended", "ended_at"))
        if order[field]
    ]
    lines += [
        f"held ({hold['kind']}) since {hold['placed_at']}: {hold['reason']}; once that is settled, "
        f"POST /orders/{order['id']}/holds/{hold['hold_id']}/release of the order service"
        for hold in order["holds"]
        if not hold["released_at"]
    ]
    return "\n".join(lines)


_WHERE = (
    "open",
    "reserved",
    "backordered",
    "picked",
    "packed",
    "shipped",
    "delivered",
    "cancelled",
    "return_requested",
    "returned",
)


def _lines(order: dict[str, Any]) -> RenderableType:
    table = _table("Lines", "SKU", "ordered", "where", "total")
    currency = order["money"]["currency"]
    for line in order["lines"]:
        where = ", ".join(
            f"{line['quantities'][w]} {w.replace('_', ' ')}"
            for w in _WHERE
            if line["quantities"][w]
        )
        table.add_row(line["sku"], str(line["ordered"]), where, shown(line["total"], currency))
    return table


def _money(order: dict[str, Any]) -> RenderableType:
    money = order["money"]
    names = ("total", "authorised", "captured", "voided", "refunded")
    table = _table("Money", *names)
    table.columns[0].justify = "right"
    table.add_row(*(shown(money[name], money["currency"]) for name in names))
    return table


def _movements(order: dict[str, Any]) -> list[RenderableType]:
    tables: list[RenderableType] = []
    if order["shipments"]:
        table = _table("Parcels", "parcel", "from", "state", "carrier", "tracking")
        for x in order["shipments"]:
            name = str(x["package_id"]).removeprefix(f"{order['id']}.")
            table.add_row(name, x["location"], x["state"], x["carrier"], x["tracking_number"])
        tables.append(table)
    if order["returns"]:
        table = _table("Returns", "return", "state", "refund")
        for x in order["returns"]:
            refund = x["refund"]
            paid = shown(refund["amount"], order["money"]["currency"]) if refund else ""
            table.add_row(str(x["return_id"]).removeprefix(f"{order['id']}."), x["state"], paid)
        tables.append(table)
    return tables


def _tree(found: dict[str, Any]) -> Tree:
    tree = Tree(Text(f"Order {found['order_id']}", style="bold"))
    for cause in found["items"]:
        _grow(tree, cause)
    return tree


def _grow(tree: Tree, cause: dict[str, Any]) -> None:
    """Add a cause and what it led to."""
    label = Text()
    if cause["at"]:
        label.append(f"{cause['at'][11:23]}  ", style="dim")
        label.append(f"{cause['service']:<14} ", style="cyan")
        label.append(cause["summary"])
    else:
        label.append(cause["summary"], style="italic")
    branch = tree.add(label)
    for effect in cause["leads_to"]:
        _grow(branch, effect)
