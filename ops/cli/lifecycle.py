"""``oms up``, ``oms down``, ``oms status``."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from psycopg.conninfo import conninfo_to_dict
from rich.table import Table
from rich.text import Text

from ops.cli.codes import CliError, Exit
from ops.cli.hosting import cancelled_by_signals, layout_of, started
from ops.cli.output import Output
from ops.stack import StackError, state
from ops.stack.errors import log_tail

UP_WITHIN_S = 120.0
CONNECT_WITHIN_S = 2.0
_STYLES = {state.READY: "green", state.STARTING: "yellow", state.RESTARTING: "red"}


async def up(data: Path, port_base: int, out: Output) -> Exit:
    """Run everything in the foreground until Ctrl-C."""
    with cancelled_by_signals():
        async with started(layout_of(data, port_base), out) as host:
            urls = host.running.urls
            out.say(
                f"\nUp. Orders: {urls['views']}/  sales: {urls['insights']}/  "
                f"e-mails: {urls['sink']}/  Ctrl-C stops it."
            )
            out.say(f"Keys: {host.running.data / 'keys' / 'plain.json'}")
            out.answer({"data": str(host.running.data), "urls": dict(urls)})
            await host.stopped()
    return Exit.OK


async def up_detached(data: Path, port_base: int, out: Output) -> Exit:
    """Start everything in a process of its own, and return when it is ready."""
    found = await asyncio.to_thread(state.read, data)
    if found is not None and found.running:
        out.say(f"A system runs over {data} already: see `oms status`.")
        out.answer({"started": False})
        return Exit.NOTHING
    log = data / "logs" / "up.log"
    child = await asyncio.to_thread(_spawn, data, port_base, log)
    with out.working("Starting …"):
        await _ready(data, child, log)
    out.say(f"Up over {data} (pid {child.pid}); `oms status` shows it, `oms down` stops it.")
    out.answer({"started": True, "pid": child.pid})
    return Exit.OK


def _spawn(data: Path, port_base: int, log: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-c", "from ops.cli import main; main()", "up"]
    argv += ["--data", str(data.resolve()), "--port-base", str(port_base)]
    with log.open("wb") as output:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C here is not meant for it
            env={**os.environ, "NO_COLOR": "1"},
        )


async def _ready(data: Path, child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + UP_WITHIN_S
    while True:
        found = await asyncio.to_thread(state.read, data)
        if found and found.supervisor.pid == child.pid and _all_ready(found):
            return
        if child.poll() is not None:
            raise CliError(Exit.UNAVAILABLE, f"it did not start; {log} ends with:\n{log_tail(log)}")
        if monotonic() > deadline:
            child.terminate()
            raise CliError(Exit.UNAVAILABLE, f"not ready within {UP_WITHIN_S:.0f} s: see {log}")
        await asyncio.sleep(0.1)


def _all_ready(found: state.SystemState) -> bool:
    return bool(found.processes) and all(p.state == state.READY for p in found.processes)


async def down(data: Path, out: Output) -> Exit:
    """Stop the system over a data directory, from any shell."""
    with out.working("Stopping …"):
        stopped = await asyncio.to_thread(state.down, data)
    out.answer({"stopped": stopped})
    if not stopped:
        out.say(f"Nothing runs over {data}.")
        return Exit.NOTHING
    out.say(f"Stopped: {', '.join(stopped)}.")
    return Exit.OK


async def status(data: Path, out: Output) -> Exit:
    """Every process: its state, pid, port, restarts and log. A problem when one is not ready."""
    try:
        found = await asyncio.to_thread(state.read, data)
    except StackError as error:
        raise CliError(Exit.PROBLEM, str(error)) from error
    if found is None or not found.running:
        left = [p.name for p in found.processes if p.running] if found else []
        out.answer({"running": False, "left_over": left, "processes": []})
        out.say(f"Nothing runs over {data}: start it with `oms up` or `oms demo`.")
        if left:
            out.say(
                f"Left over from a supervisor that was killed: {', '.join(left)}; `oms down` ends them."
            )
        return Exit.UNAVAILABLE
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (
        ("process", "left"),
        ("state", "left"),
        ("pid", "right"),
        ("port", "right"),
        ("restarts", "right"),
        ("log", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for p in found.processes:
        now = p.state if p.running else "ended"
        shown = (p.pid, p.port, p.restarts)
        table.add_row(
            p.name,
            Text(now, style=_STYLES.get(now, "red")),
            *(str(x) if x is not None else "" for x in shown),
            _from_here(p.log),
        )
    out.draw(table)
    out.say(f"\nKafka {found.addresses.get('kafka', '')}, supervisor pid {found.supervisor.pid}")
    silent = await _silent(found.addresses)
    for name in silent:
        out.say(
            f"{name} does not answer; where it is this system's own, `oms down` and `oms up` start "
            "it again.",
            style="red",
        )
    out.answer(
        {
            "running": True,
            "supervisor": found.supervisor.pid,
            "kafka": found.addresses.get("kafka"),
            "silent": silent,
            "processes": [
                {
                    "name": p.name,
                    "state": p.state if p.running else "ended",
                    "pid": p.pid,
                    "port": p.port,
                    "restarts": p.restarts,
                    "log": p.log,
                }
                for p in found.processes
            ],
        }
    )
    return Exit.OK if _all_ready(found) and not silent else Exit.PROBLEM


async def _silent(addresses: Mapping[str, str]) -> list[str]:
    """Which of the servers beneath the services let nobody in: nobody watches over them."""
    brokers = [broker.rpartition(":") for broker in addresses.get("kafka", "").split(",") if broker]
    database = conninfo_to_dict(addresses.get("postgres", ""))
    host = str(database.get("host") or "").partition(",")[0]
    places = {
        "kafka": [(host.strip("[]"), port) for host, _, port in brokers],
        # A socket's directory is no place to connect to from here.
        "postgres": [(host, str(database.get("port") or 5432).partition(",")[0])]
        if host and not host.startswith("/")
        else [],
    }
    return [name for name, of in places.items() if of and not any([await _lets_in(*x) for x in of])]


async def _lets_in(host: str, port: str) -> bool:
    try:
        async with asyncio.timeout(CONNECT_WITHIN_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _from_here(path: str) -> str:
    """A path as it is typed in this directory: short enough for a row of a terminal."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path
