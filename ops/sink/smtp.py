"""The sink's SMTP side.

Addresses can ask for trouble, so that tests and demos need no mocks: ``ada+bounce@…`` is refused
for good (550), a message to ``ada+busy@…`` is refused for now (451) the first time it comes, and
one to ``ada+lost@…`` is kept the first time, but the connection breaks before the answer.
"""

import asyncio
import logging
import socket
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from ops.sink.store import FullError, MessageStore, identify

MESSAGE_BYTES_MAX = 10 * 1024 * 1024
_TROUBLED_MAX = 100_000

log = structlog.get_logger()


class Handler:
    """aiosmtpd's hooks: what to do with an address and with a message."""

    def __init__(self, store: MessageStore) -> None:
        self._store = store
        self._troubled: set[str] = set()

    async def handle_RCPT(  # noqa: N802 - the hook's name
        self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: list[str]
    ) -> str:
        """Take every address but those that bounce."""
        if _asks(address, "bounce"):
            return f"550 5.1.1 <{address}>: no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802 - the hook's name
        self, server: SMTP, _: Session, envelope: Envelope
    ) -> str:
        """Keep the message, then acknowledge it."""
        raw = envelope.original_content or b""
        id, _subject = identify(raw)
        to = [str(address) for address in envelope.rcpt_tos]
        if self._first_trouble("busy", to, id):
            return "451 4.3.2 Busy, try again later"
        try:
            self._store.add(str(envelope.mail_from or ""), to, raw)
        except FullError:
            return "452 4.3.1 The sink is full"
        except OSError as error:
            log.error("sink_write_failed", error=str(error))
            return "451 4.3.0 The sink cannot write"
        if self._first_trouble("lost", to, id) and server.transport is not None:
            cast(asyncio.WriteTransport, server.transport).abort()
        return "250 2.0.0 OK"

    def _first_trouble(self, kind: str, to: list[str], id: str) -> bool:
        if not any(_asks(address, kind) for address in to):
            return False
        mark = f"{kind} {id}"
        if mark in self._troubled or len(self._troubled) >= _TROUBLED_MAX:
            return False
        self._troubled.add(mark)
        return True


def _asks(address: str, kind: str) -> bool:
    return f"+{kind}" in address.rpartition("@")[0]


async def listen(store: MessageStore, sock: socket.socket) -> asyncio.Server:
    """Serve SMTP on a bound socket until the server is closed."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # a line for every command otherwise
    handler = Handler(store)
    loop = asyncio.get_running_loop()

    def protocol() -> SMTP:
        return SMTP(
            handler,
            data_size_limit=MESSAGE_BYTES_MAX,
            enable_SMTPUTF8=True,
            hostname="sink.oms.local",
            ident="OMS sink",
            loop=loop,
        )

    return await loop.create_server(protocol, sock=sock)
