"""The fake payment provider's process: `python -m shared.payments`.

Prints one JSON line `{"event": "listening", "host": …, "port": …}` on standard output once it
serves, ends with status 0 after SIGTERM or SIGINT, 2 for wrong settings, 1 if its port or ledger
can't be used.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Generator

import structlog
import uvicorn
import uvloop
from pydantic import ValidationError

from shared.payments.fake import FakeProvider
from shared.payments.runners import GroupCommit
from shared.payments.server import create_app
from shared.payments.settings import PaymentsSettings
from shared.payments.sqlite_store import LedgerFileError, SqliteStore

DRAIN_SECONDS_MAX = 8
log = structlog.get_logger("shared.payments")


class _Server(uvicorn.Server):
    """Leaves signals to `_serve`.

    Uvicorn would raise them again at the end and spoil the exit status.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or []:
            host, port = each.getsockname()[:2]
            log.info("listening", host=host, port=port)


async def _serve(settings: PaymentsSettings, listener: socket.socket, store: SqliteStore) -> None:
    draining = asyncio.Event()
    provider = FakeProvider(GroupCommit(store))
    key = settings.payments_key.get_secret_value()
    app = create_app(provider, key=key, hang_s=settings.payments_hang_s, draining=draining)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
        )
    )

    def stop() -> None:
        draining.set()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)
    try:
        await server.serve(sockets=[listener])
    finally:
        await provider.close()
        log.info("stopped")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=512)
    # asyncio doesn't set it for a socket that it didn't make; answers would wait 40 ms for an ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _configure_logging(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(min(number, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(),
    )
    logging.basicConfig(level=max(number, logging.WARNING))


def _complain(message: str) -> None:
    sys.stderr.write(f"payments: {message}\n")


def main() -> int:
    """Serve until told to stop; returns the exit status."""
    try:
        settings = PaymentsSettings()
    except ValidationError as error:
        for each in error.errors():
            _complain(f"{'.'.join(map(str, each['loc']))}: {each['msg']}")
        return 2
    _configure_logging(settings.log_level)
    assert settings.payments_ledger is not None
    try:
        listener = _listen(settings.host, settings.port)
    except OSError as error:
        _complain(
            f"can't listen on {settings.host}:{settings.port}: {error.strerror}; "
            "stop what uses the port or set OMS_PORT to another"
        )
        return 1
    with listener:
        try:
            store = SqliteStore(settings.payments_ledger)
        except LedgerFileError as error:
            _complain(str(error))
            return 1
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, listener, store))
    return 0


if __name__ == "__main__":
    sys.exit(main())
