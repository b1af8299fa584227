"""From a request to the bytes of an e-mail: the same bytes at every attempt.

Header injection cannot happen: texts from outside are made one printable line before they come
near a header, `email`'s policy refuses line breaks in a header value, and the header's lines are
counted before the letter leaves.
"""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.notifications.domain.messages import SendEmail
from services.notifications.wording import LINES_MAX, NAME_LENGTH_MAX, clean, one_line, words

MESSAGE_ID_DOMAIN = "oms.local"

#: RFC 5321, 4.5.3.1: longest local part and domain.
_LOCAL_MAX, _DOMAIN_MAX = 64, 255

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


def write(mail: SendEmail, sender: Address) -> Letter:
    """The e-mail of a request: text and HTML alternatives, Message-ID from the notification's id.

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
        "lines": shown[:LINES_MAX],
        "more_lines": max(0, len(shown) - LINES_MAX),
    }
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    local, _, domain = to.rpartition("@")
    message["To"] = Address(mail.name, username=local, domain=domain)
    message["Subject"] = wording.subject
    message["Date"] = format_datetime(mail.at)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message["X-OMS-Template"] = mail.template
    message["X-OMS-Order"] = one_line(mail.order_id)
    message.set_content(_TEXT.render(values), cte="quoted-printable")
    message.add_alternative(_HTML.render(values), subtype="html", cte="quoted-printable")
    # A random boundary would make every attempt another message.
    message.set_boundary(f"=_{mail.notification_id}")
    utf8 = not to.isascii()
    content = message.as_bytes(policy=SMTP.clone(utf8=True) if utf8 else SMTP)
    _check_header(content, message.keys())
    return Letter(to, message_id, content, utf8)


def _check_header(content: bytes, names: list[str]) -> None:
    """Raise ValueError unless the header's fields, as a mail server will read them, are ``names``.

    `email` has had holes by which an encoded word smuggled a line break in (CVE-2024-6923).
    """
    header = content[: content.index(b"\r\n\r\n")].split(b"\r\n")
    found = [line.partition(b":")[0].decode("utf-8") for line in header if line[:1] not in b" \t"]
    if found != names:
        raise ValueError("the letter's header is not the one that was written: not sent")
