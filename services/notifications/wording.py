"""What each e-mail says: plain data, laid out by the templates as HTML and as text."""

from typing import NamedTuple, assert_never

from services.notifications.domain.messages import SendEmail
from shared.events.currencies import shown

NAME_LENGTH_MAX = 80
TEXT_LENGTH_MAX = 200
LINES_MAX = 50

Fact = tuple[str, str]

_GREEN, _RED, _BLUE = "#15803d", "#b91c1c", "#1d4ed8"

_REJECTIONS = {
    "out_of_stock": "Some of what you ordered is out of stock.",
    "unknown_sku": "Some of what you ordered is no longer sold.",
    "payment_declined": "Your payment was declined.",
    "expired": "It was not paid in time.",
    "invalid": "It could not be processed as it was sent to us.",
}
_CANCELLATIONS = {
    "customer": "It was cancelled as you asked.",
    "out_of_stock": "Some of what you ordered is out of stock.",
    "payment_declined": "The payment could not be taken.",
}


class Wording(NamedTuple):
    """One message's words. All values are single lines without control characters."""

    subject: str
    title: str
    accent: str
    greeting: str
    paragraphs: tuple[str, ...]
    facts: tuple[Fact, ...]


def one_line(text: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """``text`` as one printable line: no line break can start a header or a second line, and no
    invisible mark can turn the reading direction of what follows."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    line = " ".join(shown.split()).replace("=?", "= ?")  # no encoded word (RFC 2047) of theirs
    return line if len(line) <= length_max else line[: length_max - 1] + "…"


def clean(mail: SendEmail) -> SendEmail:
    """The request with every text from outside made one printable line."""
    return SendEmail(
        notification_id=mail.notification_id,
        order_id=mail.order_id,
        template=mail.template,
        to=mail.to,
        name=one_line(mail.name, NAME_LENGTH_MAX),
        channel=one_line(mail.channel),
        external_id=one_line(mail.external_id, NAME_LENGTH_MAX),
        at=mail.at,
        amount=mail.amount,
        reason=one_line(mail.reason),
        carrier=one_line(mail.carrier),
        tracking_number=one_line(mail.tracking_number),
        package_id=mail.package_id,
        lines=mail.lines,
    )


def words(mail: SendEmail) -> Wording:
    """The words of a cleaned request (`clean`)."""
    order = mail.external_id
    greeting = f"Hello {mail.name}," if mail.name else "Hello,"
    amount = "" if mail.amount is None else shown(mail.amount.amount, mail.amount.currency)
    match mail.template:
        case "order_confirmed":
            return Wording(
                f"Order {order} is confirmed",
                "Your order is confirmed",
                _GREEN,
                greeting,
                (
                    "Thank you. We will write again when it is on its way.",
                    "You pay when it is sent.",
                ),
                _facts(("Order", order), ("Total", amount)),
            )
        case "order_rejected":
            why = _REJECTIONS.get(mail.reason, _REJECTIONS["invalid"])
            return Wording(
                f"Order {order} could not be accepted",
                "We could not accept your order",
                _RED,
                greeting,
                (f"We are sorry. {why}", "Nothing was charged."),
                _facts(("Order", order)),
            )
        case "order_cancelled":
            why = _CANCELLATIONS.get(mail.reason, "")
            return Wording(
                f"Order {order} is cancelled",
                "Your order is cancelled",
                _RED,
                greeting,
                (f"{why} Nothing will be sent, and no money is kept.".strip(),),
                _facts(("Order", order)),
            )
        case "order_shipped":
            return Wording(
                f"A parcel of order {order} is on its way",
                "Your parcel is on its way",
                _BLUE,
                greeting,
                ("The carrier has taken it over.",),
                _facts(
                    ("Order", order),
                    ("Carrier", mail.carrier),
                    ("Tracking number", mail.tracking_number),
                ),
            )
        case "refund_issued":
            return Wording(
                f"{amount} refunded for order {order}",
                "Your refund is on its way",
                _GREEN,
                greeting,
                (
                    "We have paid it back the way you paid.",
                    "Your bank may take a few days to show it.",
                ),
                _facts(("Order", order), ("Refund", amount)),
            )
        case _:
            assert_never(mail.template)


def _facts(*facts: Fact) -> tuple[Fact, ...]:
    return tuple(f for f in facts if f[1])
