"""``oms demo``: brings everything up, plays the orders, sums up, and stays until Ctrl-C."""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ops.cli.checking import reconcile
from ops.cli.codes import Exit
from ops.cli.hosting import Host
from ops.cli.output import Output
from ops.demo.history.main import import_file
from ops.demo.plan import make_plan
from ops.demo.show import showing
from ops.demo.stories import End
from ops.demo.summary import mails, summarise
from ops.demo.tables import addresses, render
from ops.demo.world import World, world

_NUMBER_LETTERS = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ"


@dataclass(frozen=True)
class Options:
    """What was asked for. ``rate`` is orders a second; ``leave`` ends by itself."""

    orders: int
    seed: int
    rate: float
    leave: bool


async def demo(host: Host, options: Options, out: Output) -> Exit:
    """Play a run on the host's system and judge it. Returns when it is over (``leave``), or at Ctrl-C."""
    running = host.running
    run = "".join(secrets.choice(_NUMBER_LETTERS) for _ in range(5))
    plan = make_plan(options.orders, options.seed, run)
    out.say(
        f"\nPlacing {options.orders} orders, {options.rate:g} a second, on three channels: REST, the topic "
        f"oms.channel.orders, and files in {running.data / 'inbox'} (seed {options.seed}, run {run})."
    )
    mails_before = await mails(running)
    async with world(running, plan) as around:
        await around.open_shop()
        expected = _expected(around)
        with showing(out.progress, expected) as show:
            await around.play(options.rate, lambda: show.counts(asdict(around.tracker.counts)))
        exit_code = await _judge(around, mails_before, out)
        if not options.leave:
            out.say(addresses(running, _worth_a_look(around)))
            await _until_stopped(host, out)
    return exit_code


async def demo_file(host: Host, path: Path, mapping: str, out: Output, *, leave: bool) -> Exit:
    """Live a file of real orders through on the host's system, and judge it."""
    exit_code = await import_file(host.running, path, mapping, out, checked=True)
    if not leave:
        out.say(addresses(host.running))
        await _until_stopped(host, out)
    return exit_code


async def _until_stopped(host: Host, out: Output) -> None:
    """Stay until cancelled: whoever runs this listens for Ctrl-C, and still gets the result."""
    out.say(_stay(host))
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def _judge(around: World, mails_before: int, out: Output) -> Exit:
    summary = await summarise(around, mails_before)
    out.draw(render(summary, out.progress.width))
    out.say("")
    report = await reconcile(around.running.data, out)
    out.draw(report)
    out.answer(summary.as_dict() | {"reconcile": report.as_json()})
    out.last(summary.last_line(report.violations_total))
    return Exit.OK if summary.good and report.clean else Exit.PROBLEM


def _expected(around: World) -> dict[str, int]:
    """How often each count is expected to rise; races may move a few between completed and cancelled."""
    ends = [order.story.expected for order in around.plan.orders]
    sent = ends.count(End.COMPLETED) + ends.count(End.RETURNED)
    return {
        "placed": len(ends),
        "confirmed": sent,
        "shipped": sent,
        "delivered": sent,
        "returned": ends.count(End.RETURNED),
        "cancelled": ends.count(End.CANCELLED),
        "refused": ends.count(End.REFUSED),
        "ended": len(ends),
    }


def _worth_a_look(around: World) -> str:
    """An order with a long story: one that came back, else any."""
    orders = around.tracker.orders
    return next((id for id, p in orders.items() if p.end is End.RETURNED), next(iter(orders)))


def _stay(host: Host) -> str:
    goes = "everything stops" if host.ours else "the system goes on"
    return (
        "\nThe shop stays open: place your own orders, the warehouses answer. "
        f"Ctrl-C ends the demo, and {goes}."
    )
