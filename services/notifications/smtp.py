"""Connections to the mail server, kept open and used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, Self

import aiosmtplib
from aiosmtplib import SMTP, SMTPException, SMTPServerDisconnected

from services.notifications.mail import Letter

Tls = Literal["none", "auto", "starttls", "tls"]

#: An answer to DATA can take minutes on a busy server; the lease of an effect is renewed meanwhile.
TIMEOUT_SECONDS = 30.0


class SmtpPool:
    """Hands letters to one mail server over at most ``connections`` connections.

    ``tls``: none, STARTTLS where the server offers it (auto), STARTTLS always, or TLS from the
    first byte. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        connections: int = 4,
        tls: Tls = "auto",
        username: str | None = None,
        password: str | None = None,
        timeout_s: float = TIMEOUT_SECONDS,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._login = (username, password)
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(connections)
        self._idle: list[SMTP] = []

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        await self.close()

    async def send(self, sender: str, letter: Letter) -> None:
        """Return once the server has taken the letter; raises `aiosmtplib.SMTPException`.

        A connection that the server closed while it was idle is replaced and the letter sent again
        at once. If the server had taken it after all, its Message-ID tells.
        """
        async with self._connection() as (client, used_before):
            try:
                await _send(client, sender, letter)
                return
            except SMTPServerDisconnected:
                if not used_before:
                    raise
            await client.connect()
            await _send(client, sender, letter)

    async def close(self) -> None:
        """Say goodbye on the idle connections."""
        idle, self._idle = self._idle, []
        for client in idle:
            try:
                async with asyncio.timeout(1):
                    await client.quit()
            except (SMTPException, TimeoutError):
                client.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[SMTP, bool]]:
        """A connected client, and whether it has served before. It goes back to the pool unless it
        broke or was interrupted in the middle of a conversation."""
        async with self._slots:
            idle = self._take()
            client = idle or self._new()
            reusable = False
            try:
                if idle is None:
                    await client.connect()
                yield client, idle is not None
                reusable = True
            except aiosmtplib.SMTPResponseException as error:
                reusable = (
                    error.code >= 0
                )  # -1: what came was no SMTP reply, who knows what follows
                raise
            except aiosmtplib.SMTPRecipientsRefused:
                reusable = True
                raise
            finally:
                if reusable and client.is_connected:
                    self._idle.append(client)
                else:
                    client.close()

    def _take(self) -> SMTP | None:
        """The connection used last, if one is still open; fewer stay warm that way."""
        while self._idle:
            client = self._idle.pop()
            if client.is_connected:
                return client
        return None

    def _new(self) -> SMTP:
        username, password = self._login
        return SMTP(
            hostname=self._host,
            port=self._port,
            username=username,
            password=password,
            use_tls=self._tls == "tls",
            start_tls={"none": False, "auto": None, "starttls": True, "tls": False}[self._tls],
            local_hostname="oms.local",  # the default asks DNS for this machine's name
            timeout=self._timeout_s,
        )


async def _send(client: SMTP, sender: str, letter: Letter) -> None:
    options = ["SMTPUTF8", "BODY=8BITMIME"] if letter.utf8 else []
    await client.sendmail(sender, [letter.recipient], letter.content, mail_options=options)
