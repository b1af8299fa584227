"""TCP ports on the loopback interface: is one free, pick free ones, who holds it."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress

import psutil

from ops.stack.errors import StackError

HOST = "127.0.0.1"
#: Where free ports are looked for.
FREE = range(10_000, 20_000)


def free_ports(count: int) -> list[int]:
    """`count` different ports that are free right now (all held open while picking).

    None of them is one that the system itself would give to an outgoing connection (from 32768 on Linux, from 49152
    elsewhere) between this choice and the start of the server that it is for.
    """
    ports: list[int] = []
    with ExitStack() as held:
        for port in random.sample(FREE, len(FREE)):
            if len(ports) == count:
                break
            with suppress(OSError):
                listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                listener.bind((HOST, port))
                ports.append(port)
    if len(ports) < count:
        raise StackError(
            f"of the ports {FREE[0]} to {FREE[-1]} on {HOST} only {len(ports)} are free"
        )
    return ports


def free_base(bases: Sequence[int], offsets: Iterable[int]) -> int:
    """One of `bases` at whose distances `offsets` all ports are free right now, as servers see it: those of a whole
    system. Raises StackError when there is none."""
    distances = list(offsets)
    for base in random.sample(bases, len(bases)):
        with ExitStack() as held, suppress(OSError):
            for offset in distances:
                held.enter_context(socket.create_server((HOST, base + offset)))
            return base
    raise StackError(f"no range of free ports was found on {HOST} from {bases[0]} to {bases[-1]}")


def is_open(port: int, timeout_s: float = 0.25) -> bool:
    """Whether something accepts connections on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def require_free(port: int, *, what: str, setting: str) -> None:
    """Raise StackError when the port is taken, naming its holder and the setting to change."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port in TIME_WAIT is free, one with a listener is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackError(
                f"port {port} for {what} cannot be used ({error.strerror}){_holder(port)}: "
                f"stop that program, or choose another port with {setting}"
            ) from error


def _holder(port: int) -> str:
    """`, held by NAME (pid N)`, or nothing where the system does not tell us."""
    try:
        connections = psutil.net_connections("tcp")
        for connection in connections:
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port == port and connection.pid is not None:
                return f", held by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # only decoration: other users' sockets are hidden from an ordinary user
    return ""
