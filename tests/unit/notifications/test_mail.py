"""E-mails: readable, the same at every attempt, and deaf to what hostile text asks for."""

from __future__ import annotations

from datetime import timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.mail import BadAddressError, Letter, recipient, write
from services.notifications.tracking import ParcelPage
from services.notifications.wording import one_line
from shared.events import LineQuantity, Money
from shared.events.notifications import Template
from shared.service.links import Links
from tests.unit.notifications.happenings import mail

SENDER = Address("Orders", "orders", "oms.local")
TEMPLATES = get_args(Template)
HEADERS = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-OMS-Template",
    "X-OMS-Order",
    "MIME-Version",
    "Content-Type",
]


def read(letter: Letter) -> EmailMessage:
    message = message_from_bytes(letter.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


class Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_makes_a_whole_letter(template: Template) -> None:
    request = mail(template=template, carrier="DHL", tracking_number="JD01")
    letter = write(request, SENDER)
    message = read(letter)
    assert message.keys() == HEADERS
    assert message["Message-ID"] == "<n-1@oms.local>" == letter.message_id
    assert message["To"] == "Ada <ada@example.com>"
    assert message["From"] == "Orders <orders@oms.local>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "A-1" in message["Subject"]
    for kind in ("plain", "html"):
        assert "Hello Ada," in part(message, kind)
        assert "A-1" in part(message, kind)
    assert Tags(part(message, "html")).text.count("Hello Ada,") == 1
    assert not message.defects
    assert max(map(len, letter.content.split(b"\r\n"))) <= 998


def test_a_shipped_mail_leads_to_its_parcel_and_no_other_mail_does() -> None:
    links = Links({"1": "k" * 32})
    page = ParcelPage("https://shop.example/", links)
    shipped = mail(template="order_shipped", amount=None, package_id="p-1")
    link = page.link_to(shipped)
    assert link.startswith("https://shop.example/track/")
    claims = links.read(link.rpartition("/")[2], shipped.at + timedelta(days=89))
    assert (claims.order_id, claims.package_id) == (shipped.order_id, "p-1")
    message = read(write(shipped, SENDER, link))
    assert link in part(message, "plain")
    assert f'href="{link}"' in part(message, "html")
    assert page.link_to(mail()) == ParcelPage("", links).link_to(shipped) == ""
    assert ParcelPage("https://shop.example", Links({})).link_to(shipped) == ""
    assert "Follow" not in part(read(write(shipped, SENDER)), "html")


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_attempt_is_the_same_letter(template: Template) -> None:
    assert write(mail(template=template), SENDER) == write(mail(template=template), SENDER)


def test_what_the_customer_must_know_is_there() -> None:
    lines = tuple(LineQuantity(line_id=str(i), sku=f"SKU-{i}", quantity=i) for i in range(1, 60))
    shipped = mail(
        template="order_shipped", carrier="DHL", tracking_number="JD01", lines=lines, amount=None
    )
    message = read(write(shipped, SENDER))
    for kind in ("plain", "html"):
        for fact in ("DHL", "JD01", "SKU-50", "and 9 more"):
            assert fact in part(message, kind)
        assert "SKU-51" not in part(message, kind)
    assert "£12.50" in part(read(write(mail(), SENDER)), "plain")
    refund = read(write(mail(template="refund_issued", amount=Money(1234, "JPY")), SENDER))
    assert refund["Subject"] == "¥1,234 refunded for order A-1"
    rejected = mail(template="order_rejected", reason="out_of_stock")
    assert "out of stock" in part(read(write(rejected, SENDER)), "html")
    unknown = mail(template="order_rejected", reason="made-up <i>")
    assert "made-up" not in part(read(write(unknown, SENDER)), "html")


def test_names_in_html_stay_text() -> None:
    name = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"
    html = part(read(write(mail(name=name, external_id="<b>1</b>"), SENDER)), "html")
    tags = Tags(html)
    assert not {"script", "img", "b"} & set(tags.tags)
    assert not {"onerror", "src"} & tags.attributes
    assert "alert('x')" in tags.text


@pytest.mark.parametrize(
    "evil",
    [
        "Ada\r\nBcc: all@example.com",
        "Ada\nBcc: all@example.com\n\nbody",
        "=?utf-8?q?Ada=0D=0ABcc=3A_all=40example.com?=",
        "=?utf-8?b?QWRhDQpCY2M6IGFsbEBleGFtcGxlLmNvbQ==?=",
        "Ada\u2028Bcc: all@example.com",
        "Ada\x85Bcc: all@example.com",
        '"Ada" <evil@example.com>, other',
        "Ada\x00",
        "Ada\ud800",
        "\u202eadA",
    ],
)
def test_no_text_becomes_a_header(evil: str) -> None:
    texts = dict.fromkeys(("name", "external_id", "carrier", "tracking_number"), evil)
    letter = write(mail(template="order_shipped", amount=None, **texts), SENDER)
    message = read(letter)
    assert message.keys() == HEADERS
    assert message["Bcc"] is None
    assert [a.addr_spec for a in message["To"].addresses] == ["ada@example.com"]
    assert not any(c in part(message, "plain") for c in "\x00\u2028\u202e\ud800")


hostile = st.one_of(
    st.text(max_size=300),
    st.text(st.sampled_from("\r\n\t\0 :;,<>@\"'=?&{}%\\\u2028\u202e\ufeffé漢😀aB"), max_size=80),
    st.sampled_from(
        ["{{ 7*7 }}", "{% raw %}", "=?utf-8?q?=0A?=", "=?utf-8?q?a?= =?x?b?", "." * 90]
    ),
)


@given(
    st.sampled_from(TEMPLATES),
    hostile,
    hostile,
    hostile,
    st.integers(-(2**53), 2**53),
    st.booleans(),
)
def test_hostile_text_changes_nothing_but_words(
    template: Template, name: str, order: str, carrier: str, amount: int, lines: bool
) -> None:
    request = mail(
        template=template,
        name=name,
        external_id=order,
        order_id=order,
        carrier=carrier,
        tracking_number=name,
        reason=carrier,
        amount=Money(amount, "GBP"),
        lines=(LineQuantity(line_id="1", sku=order, quantity=1),) if lines else (),
    )
    letter = write(request, SENDER)
    message = read(letter)
    assert message.keys() == HEADERS
    assert message["Message-ID"] == "<n-1@oms.local>"
    assert [a.addr_spec for a in message["To"].addresses] == ["ada@example.com"]
    plain = mail(template=template, carrier="x", tracking_number="x", reason="x")
    seen, known = (Tags(part(read(write(m, SENDER)), "html")) for m in (request, plain))
    assert set(seen.tags) <= set(known.tags) | {"table", "tr", "td", "th"}
    assert seen.attributes <= known.attributes | {"scope", "align", "colspan"}
    assert letter.content.isascii()
    assert b"\r" not in letter.content.replace(b"\r\n", b"")


@given(hostile)
def test_one_line_is_one_printable_line(text: str) -> None:
    line = one_line(text, 50)
    assert line.isprintable()
    assert len(line.splitlines()) <= 1
    assert len(line) <= 52
    assert "=?" not in line
    assert one_line(line, 100) == line


@pytest.mark.parametrize(
    ("text", "sent_to"),
    [
        ("ada@example.com", "ada@example.com"),
        (" ada@example.com ", "ada@example.com"),
        ("o'neil+tag@sub.example.com", "o'neil+tag@sub.example.com"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("jürgen@example.com", "jürgen@example.com"),
    ],
)
def test_addresses_that_work(text: str, sent_to: str) -> None:
    assert recipient(text) == sent_to


@pytest.mark.parametrize(
    "text",
    [
        "ada",
        "@example.com",
        "ada@",
        "ada@@",
        "a b@example.com",
        "ada@example.com, eve@example.com",
        "Ada <ada@example.com>",
        "ada@example.com\r\nRCPT TO:<eve@example.com>",
        "ada@exa mple.com",
        "ada@[127.0.0.1]",
        "ada(comment)@example.com",
        "ada@.example.com",
        "ada@example..com",
        "ada@" + "a" * 64 + ".com",
        "a" * 65 + "@example.com",
        "ada@\ud800.com",
        "ada\x00@example.com",
    ],
)
def test_addresses_that_are_none(text: str) -> None:
    with pytest.raises(BadAddressError):
        write(mail(to=text), SENDER)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_text_is_an_address_or_refused(local: str, domain: str) -> None:
    try:
        found = recipient(f"{local}@{domain}")
    except BadAddressError:
        return
    assert found.count("@") == 1
    assert found.isprintable()
    assert not set(found) & set(' <>,;:"\\()[]')
