"""From a request to the bytes of an e-mail: the same bytes at every attempt.

Header injection cannot happen: texts from outside are made one printable line before they come
near a header, and the header's fields are counted before the letter leaves.
"""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifications.domain.messages import SendEmail
from services.notifications.mime import alternatives, field, mailbox
from services.notifications.wording import LINES_MAX, NAME_LENGTH_MAX, clean, one_line, words

MESSAGE_ID_DOMAIN = "oms.local"

#: RFC 5321, 4.5.3.1: longest local part and domain.
_LOCAL_MAX, _DOMAIN_MAX = 64, 255

_FIELDS = [
    b"From",
    b"To",
    b"Subject",
    b"Date",
    b"Message-ID",
    b"Auto-Submitted",
    b"X-OMS-Template",
    b"X-OMS-Order",
    b"MIME-Version",
    b"Content-Type",
]

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=select_autoescape(("html",), default=False),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_HTML, _TEXT = _pages.get_template("base.html"), _pages.get_template("base.txt")


class BadAddressError(ValueError):
    """No mail can be sent to this; the message says why and does not repeat it."""


class Letter(NamedTuple):
    """An e-mail ready for SMTP: envelope and content. ``utf8`` asks for SMTPUTF8 (RFC 6531)."""

    recipient: str
    message_id: str
    content: bytes
    utf8: bool


def recipient(text: str) -> str:
    """The address to hand to the mail server, its domain in ASCII (IDNA).

    Raises `BadAddressError` for anything but exactly one ``local@domain``.
    """
    text = text.strip(" ")
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise BadAddressError("the address is not of the form local@domain")
    if not text.isprintable() or any(c in text for c in '<>,;:"\\()[] '):
        raise BadAddressError("the address has characters that no plain address has")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
        address = Address(username=local, domain=ascii_domain).addr_spec
    except (UnicodeError, ValueError, MessageError, IndexError) as error:
        raise BadAddressError("the address cannot be read") from error
    # Encoding can bring forth what was refused above: an acute accent becomes a space and a mark.
    if not _DOMAIN.fullmatch(ascii_domain):
        raise BadAddressError("the address has no domain that could exist")
    if len(local.encode()) > _LOCAL_MAX or len(ascii_domain) > _DOMAIN_MAX:
        raise BadAddressError("the address is longer than mail allows (RFC 5321)")
    return address


def write(mail: SendEmail, sender: Address, link: str = "") -> Letter:
    """The e-mail of a request: text and HTML alternatives, Message-ID from the notification's id. ``link`` leads to
    the parcel's page.

    Raises `BadAddressError`.
    """
    to = recipient(mail.to)
    mail = clean(mail)
    wording = words(mail)
    message_id = f"<{mail.notification_id}@{MESSAGE_ID_DOMAIN}>"
    shown = [{"sku": one_line(x.sku, NAME_LENGTH_MAX), "quantity": x.quantity} for x in mail.lines]
    values = {
        **wording._asdict(),
        "mail": mail,
        "link": link,
        "lines": shown[:LINES_MAX],
        "more_lines": max(0, len(shown) - LINES_MAX),
    }
    fields = (
        mailbox("From", sender.display_name, sender.addr_spec),
        mailbox("To", mail.name, to),
        field("Subject", wording.subject),
        f"Date: {format_datetime(mail.at)}",
        f"Message-ID: {message_id}",
        "Auto-Submitted: auto-generated",  # RFC 3834: no out-of-office answers
        f"X-OMS-Template: {mail.template}",
        field("X-OMS-Order", one_line(mail.order_id)),
    )
    # A random boundary would make every attempt another message.
    boundary = f"=_{mail.notification_id}"
    content = alternatives(fields, _TEXT.render(values), _HTML.render(values), boundary)
    _check_header(content)
    return Letter(to, message_id, content, utf8=not to.isascii())


def _check_header(content: bytes) -> None:
    """Raise ValueError unless the header's fields, as a mail server will read them, are ours."""
    header = content[: content.index(b"\r\n\r\n")].split(b"\r\n")
    found = [line.partition(b":")[0] for line in header if line[:1] not in b" \t"]
    if found != _FIELDS:
        raise ValueError("the letter's header is not the one that was written: not sent")
