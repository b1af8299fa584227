"""TCP ports on the loopback interface: is one free, pick free ones, who holds it."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import psutil

from ops.stack.errors import StackError

HOST = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """`count` different ports that are free right now (all held open while picking)."""
    with ExitStack() as held:
        ports = []
        for _ in range(count):
            listener = held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            listener.bind((HOST, 0))
            ports.append(int(listener.getsockname()[1]))
        return ports


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
