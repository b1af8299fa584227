"""uvicorn inside our own event loop: its signals, start-up and log set-up are ours."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from shared.service.door import Door
from shared.service.http import ServiceApp

BACKLOG = 2048
KEEP_ALIVE_S = 30


class EmbeddedServer(uvicorn.Server):
    """A uvicorn server that leaves signals to the lifecycle and stops on request. ``proxies``: addresses or networks,
    separated by commas, whose X-Forwarded-For and -Proto are believed."""

    def __init__(self, app: ServiceApp, proxies: str = "") -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Door,
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                # Only a proxy of ours is believed about whom it speaks for; anybody could write the header.
                proxy_headers=bool(proxies),
                forwarded_allow_ips=proxies,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install nothing: the lifecycle handles SIGTERM and SIGINT."""
        yield

    def stop(self, graceful_s: int) -> None:
        """Close the listener, let requests finish for `graceful_s`, then cancel them."""
        self.config.timeout_graceful_shutdown = graceful_s
        self.should_exit = True


def bind_socket(host: str, port: int) -> socket.socket:
    """A listening socket; raises OSError when the port is taken. Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
