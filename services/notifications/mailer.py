"""Performs `SendEmail`: what the mail server's answers mean for the order's correspondence."""

import re
from collections.abc import Callable
from email.headerregistry import Address

from aiosmtplib import (
    SMTPAuthenticationError,
    SMTPConnectError,
    SMTPException,
    SMTPHeloError,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from services.notifications.domain.messages import MailRefused, MailTaken, SendEmail
from services.notifications.mail import BadAddressError, Letter, write
from services.notifications.smtp import SmtpPool
from shared.events import Command
from shared.ledger.effects import TryAgain

REASON_LENGTH_MAX = 300
_ADDRESS = re.compile(r"<?[^\s<>@]+@[^\s<>@]+>?")
_PERMANENT = range(500, 600)
#: RFC 4954: said of our login, not of the e-mail.
_LOGIN_NEEDED = (530, 534, 535, 538)


class Mailer:
    """Writes and sends. ``sender`` is the From address and the envelope's; ``link_to`` gives the address of the page
    that a letter leads to, if there is one."""

    def __init__(
        self, pool: SmtpPool, sender: Address, link_to: Callable[[SendEmail], str] = lambda _: ""
    ) -> None:
        self._pool = pool
        self._sender = sender
        self._link_to = link_to

    async def perform(self, mail: SendEmail, _: str) -> Command:
        """Send one e-mail: taken, or refused for good.

        Raises `TryAgain` while the server is away, busy (4xx) or refuses us as a whole (greeting,
        login): that is no fault of this e-mail.
        """
        try:
            letter = write(mail, self._sender, self._link_to(mail))
        except BadAddressError as error:
            return _refused(mail, str(error))
        try:
            await self._pool.send(self._sender.addr_spec, letter)
        except (SMTPConnectError, SMTPHeloError, SMTPAuthenticationError) as error:
            raise TryAgain(f"the mail server does not let us in: {_told(error)}") from error
        except SMTPRecipientsRefused as error:
            return _judge(mail, error.recipients[0])
        except SMTPNotSupported:
            return _refused(mail, "the mail server takes ASCII addresses only (no SMTPUTF8)")
        except SMTPResponseException as error:
            return _judge(mail, error)
        except (SMTPException, OSError) as error:
            raise TryAgain(f"the mail server did not answer: {_told(error)}") from error
        return _taken(mail, letter)


def _judge(mail: SendEmail, error: SMTPResponseException) -> Command:
    """5xx is final (RFC 5321, 4.2.1); everything else may change."""
    said = f"{error.code} {_told(error)}"
    if error.code in _PERMANENT and error.code not in _LOGIN_NEEDED:
        return _refused(mail, said)
    raise TryAgain(f"the mail server said {said}") from error


def _taken(mail: SendEmail, letter: Letter) -> MailTaken:
    return MailTaken(
        order_id=mail.order_id,
        notification_id=mail.notification_id,
        message_id=letter.message_id,
    )


def _refused(mail: SendEmail, reason: str) -> MailRefused:
    return MailRefused(order_id=mail.order_id, notification_id=mail.notification_id, reason=reason)


def _told(error: Exception) -> str:
    """What the server said, without the customer's address: this is published and logged."""
    text = str(error.message if isinstance(error, SMTPException) else error)
    text = text.encode("utf-8", "replace").decode()
    return _ADDRESS.sub("<address>", " ".join(text.split()))[:REASON_LENGTH_MAX]
