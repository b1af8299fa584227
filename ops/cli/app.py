"""Every command of ``oms``, its options, and its exit status.

0 done; 1 a problem was found; 2 wrong usage; 3 nothing to do; 69 not running or not reachable; 130 interrupted.
"""

import asyncio
from collections.abc import Callable, Coroutine
from math import isfinite
from pathlib import Path
from typing import Annotated, Any

import typer

from ops.cli.codes import CliError, Exit
from ops.cli.output import Output

app = typer.Typer(
    name="oms",
    help="An event-sourced order management system, and its tools.",
    epilog="Exit status: 0 done, 1 a problem was found, 2 wrong usage, 3 nothing to do, "
    "69 not running or not reachable, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Data = Annotated[
    Path,
    typer.Option(
        "--data", envvar="OMS_DATA", file_okay=False, help="Where the system keeps everything."
    ),
]
PortBase = Annotated[
    int,
    typer.Option(
        "--port-base",
        envvar="OMS_PORT_BASE",
        min=1024,
        max=65_400,
        help="First of about a hundred TCP ports on 127.0.0.1.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
Mapping = Annotated[
    str, typer.Option(help="How the files are read: online-retail or olist; else by their names.")
]
MAPPING = ""
DATA = Path(".oms")
PORT_BASE = 8100


def execute(work: Callable[[Output], Coroutine[Any, Any, Exit]], *, json: bool) -> None:
    """Run a command and leave with its status; what ends it says why on standard error."""
    from ops.stack import StackError

    out = Output(json=json)
    try:
        code = asyncio.run(work(out))
    except BaseException as raised:
        error = _first(raised)
        match error:
            case CliError():
                code = error.code
            # The supervisor reports Ctrl-C during the start like any other reason not to come up.
            case StackError() if str(error).startswith("stopped by a signal"):
                code = Exit.INTERRUPTED
            case StackError():
                code = Exit.UNAVAILABLE
            case KeyboardInterrupt() | asyncio.CancelledError():
                code = Exit.INTERRUPTED
            case OSError() if error.filename is not None:
                code, error = Exit.UNAVAILABLE, _no_such_place(error)
            case _:
                raise
        out.fail(str(error) or "interrupted", code)
    raise typer.Exit(code)


def _first(error: BaseException) -> BaseException:
    """The error itself, or the first of a group: tasks side by side fail in groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _no_such_place(error: OSError) -> CliError:
    """A directory that cannot be had is for the caller to mend: no traceback says it better than its name."""
    said = f"{error.filename}: {error.strerror}. Mend that, or name another directory with --data"
    return CliError(Exit.UNAVAILABLE, said)


@app.command()
def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is up.")] = False,
    data: Data = DATA,
    port_base: PortBase = PORT_BASE,
    json: Json = False,
) -> None:
    """Start everything and keep it running until Ctrl-C."""
    from ops.cli import lifecycle

    run = lifecycle.up_detached if detach else lifecycle.up
    execute(lambda out: run(data, port_base, out), json=json)


@app.command()
def down(*, data: Data = DATA, json: Json = False) -> None:
    """Stop what runs over the data directory."""
    from ops.cli import lifecycle

    execute(lambda out: lifecycle.down(data, out), json=json)


@app.command()
def status(*, data: Data = DATA, json: Json = False) -> None:
    """Show every process: state, pid, port, restarts, log."""
    from ops.cli import lifecycle

    execute(lambda out: lifecycle.status(data, out), json=json)


@app.command()
def demo(
    *,
    orders: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many to place.")] = 300,
    seed: Annotated[int, typer.Option(help="The same seed tells the same stories.")] = 1,
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="Orders a second.")] = 40.0,
    file: Annotated[
        Path | None,
        typer.Option(help="A file, folder or archive of real orders instead of simulated ones."),
    ] = None,
    mapping: Mapping = MAPPING,
    leave: Annotated[bool, typer.Option("--exit", help="End when it is done.")] = False,
    data: Data = DATA,
    port_base: PortBase = PORT_BASE,
    json: Json = False,
) -> None:
    """Start everything, play orders through it, and show what came of it."""
    from ops.cli.hosting import cancelled_by_signals, hosted, interruptible, layout_of
    from ops.demo.main import Options, demo_file
    from ops.demo.main import demo as play

    if not isfinite(rate):
        raise typer.BadParameter("must be a number", param_hint="--rate")
    if file is not None and not file.exists():
        raise typer.BadParameter(f"{file} is not there", param_hint="--file")

    async def work(out: Output) -> Exit:
        with cancelled_by_signals():
            async with hosted(layout_of(data, port_base), out) as host:
                if file is None:
                    job = play(host, Options(orders, seed, rate, leave), out)
                else:
                    job = demo_file(host, file, mapping, out, leave=leave)
                return await interruptible(host, job)

    execute(work, json=json)


@app.command("import")
def import_(
    *,
    file: Annotated[Path, typer.Argument(help="A file, folder or archive of orders.")],
    mapping: Mapping = MAPPING,
    check: Annotated[bool, typer.Option("--reconcile", help="Reconcile afterwards.")] = False,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Bring real orders into the running system; a second time it adds nothing (status 3)."""
    from ops.cli.client import find
    from ops.demo.history.main import import_file

    if not file.exists():
        raise typer.BadParameter(f"{file} is not there", param_hint="FILE")
    execute(
        lambda out: import_file(find(data), file, mapping, out, checked=check),
        json=json,
    )


order_app = typer.Typer(help="Look at orders.", no_args_is_help=True)
app.add_typer(order_app, name="order")
OrderName = Annotated[
    str, typer.Argument(help="Its id, CHANNEL/NUMBER, or anything it can be found by.")
]


@order_app.command("show")
def order_show(*, order: OrderName, data: Data = DATA, json: Json = False) -> None:
    """One order: its state, lines, money, parcels and returns."""
    from ops.cli import orders

    execute(lambda out: orders.show(data, order, out), json=json)


@app.command()
def why(*, order: OrderName, data: Data = DATA, json: Json = False) -> None:
    """What led to what in one order, across the services, as a tree."""
    from ops.cli import orders

    execute(lambda out: orders.why(data, order, out), json=json)


@app.command()
def reconcile(*, data: Data = DATA, json: Json = False) -> None:
    """Prove from the logs that nothing was oversold and no cent was lost (status 1 if not)."""
    from ops.cli import checking

    execute(lambda out: checking.command(data, out), json=json)


insights_app = typer.Typer(help="Sales, channels and stock cover.", no_args_is_help=True)
app.add_typer(insights_app, name="insights")


@insights_app.command("verify")
def insights_verify(*, data: Data = DATA, json: Json = False) -> None:
    """Count the topics again and compare every figure (status 1 when one differs)."""
    from ops.cli import insights

    execute(lambda out: insights.verify(data, out), json=json)


@insights_app.command("rebuild")
def insights_rebuild(*, data: Data = DATA, json: Json = False) -> None:
    """Forget all figures and read the topics from their beginning; returns when that is done."""
    from ops.cli import insights

    execute(lambda out: insights.rebuild(data, out), json=json)


parked_app = typer.Typer(help="Messages that could not be handled.", no_args_is_help=True)
app.add_typer(parked_app, name="parked")


@parked_app.command("list")
def parked_list(*, data: Data = DATA, json: Json = False) -> None:
    """What is parked, by service and key (status 3 if nothing is)."""
    from ops.cli import parked

    execute(lambda out: parked.list_parked(data, out), json=json)


Service = Annotated[str, typer.Argument(help="Whose parked messages.")]


@parked_app.command("show")
def parked_show(
    *,
    service: Service,
    topic: Annotated[str, typer.Option(help="The topic, as listed.")],
    key: Annotated[str, typer.Option(help="The key, as listed.")],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """A key's parked messages in their order, with ids, headers and bytes (status 3 if none)."""
    from ops.cli import parked

    execute(lambda out: parked.show(data, service, topic, key, out), json=json)


@parked_app.command("discard")
def parked_discard(
    *,
    service: Service,
    id: Annotated[int, typer.Argument(help="The message's id, from `oms parked show`.", min=1)],
    reason: Annotated[str, typer.Option(help="Why; it is kept with the message.")],
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Give one parked message up for good: what can never be handled blocks its key."""
    from ops.cli import parked

    execute(lambda out: parked.discard(data, service, id, reason, out), json=json)


@parked_app.command("redrive")
def parked_redrive(
    *,
    service: Service,
    topic: Annotated[str, typer.Option(help="Only this topic's …")] = "",
    key: Annotated[str, typer.Option(help="… messages of this key.")] = "",
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Handle parked messages again, in order, each once; make parked calls to the outside again."""
    from ops.cli import parked

    execute(lambda out: parked.redrive(data, service, topic, key, out), json=json)


topic_app = typer.Typer(help="What runs over Kafka.", no_args_is_help=True)
app.add_typer(topic_app, name="topic")


@topic_app.command("list")
def topic_list(*, json: Json = False) -> None:
    """Every topic: who writes it, and which types it carries."""
    from ops.cli import topics

    execute(topics.list_topics, json=json)


@topic_app.command("tail")
def topic_tail(
    *,
    topic: Annotated[str, typer.Argument(help="Its name, such as oms.order.events.")],
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=100_000, help="So many of each partition.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Then every further one, until Ctrl-C.")
    ] = False,
    key: Annotated[
        str, typer.Option(help="Only this key's (an order's id, a SKU), all of them.")
    ] = "",
    data: Data = DATA,
    json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
) -> None:
    """The last records of a topic, with headers and payloads (status 3 if there are none)."""
    from ops.cli import topics

    execute(
        lambda out: topics.tail(data, topic, last, out, follow=follow, key=key),
        json=json,
    )


refused_app = typer.Typer(help="Inputs of partners that were not taken.", no_args_is_help=True)
app.add_typer(refused_app, name="refused")
RefusalId = Annotated[str, typer.Argument(help="Its id, as listed.")]


@refused_app.command("list")
def refused_list(
    *,
    source: Annotated[str, typer.Option(help="Only of one source.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Resubmitted ones as well.")] = False,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """What waits for a person, with the reason (status 3 if nothing does)."""
    from ops.cli import refused

    execute(lambda out: refused.list_refused(data, source, everything, out), json=json)


@refused_app.command("show")
def refused_show(*, refusal: RefusalId, data: Data = DATA, json: Json = False) -> None:
    """One refused input, with its payload."""
    from ops.cli import refused

    execute(lambda out: refused.show(data, refusal, out), json=json)


@refused_app.command("resubmit")
def refused_resubmit(
    *,
    refusal: RefusalId,
    payload: Annotated[
        Path | None, typer.Option(help="A file with the corrected input.", dir_okay=False)
    ] = None,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Have a refused input read again, as it came or corrected; twice adds nothing."""
    from ops.cli import refused

    if payload is not None and not payload.exists():
        raise typer.BadParameter(f"{payload} is not there", param_hint="--payload")
    execute(lambda out: refused.resubmit(data, refusal, payload, out), json=json)


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def bench(context: typer.Context) -> None:
    """Measure the system against its floors; --help lists what can be chosen."""
    try:
        from benchmarks.__main__ import main as measure
    except ImportError as error:
        Output().fail(f"{error}: run this from the repository, where benchmarks/ is", Exit.USAGE)
        raise typer.Exit(Exit.USAGE) from error
    raise typer.Exit(measure(context.args))


def main() -> None:
    """The console script."""
    app()
