"""What an order can be found by: anything that a customer can say on the phone."""

import unicodedata
from typing import NamedTuple

from shared.events import Event
from shared.events import order as o

TERM_LENGTH_MAX = 200


class Term(NamedTuple):
    """A search term of an order, normalised by `normal`."""

    term: str
    kind: str


def normal(text: str) -> str:
    """Text as it is compared: lower case, compatibility forms folded, spaces single, bounded."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("\x00", "")
    return " ".join(folded.split())[:TERM_LENGTH_MAX]


def phone(text: str) -> str:
    """A telephone number's digits, or nothing when the text is none."""
    digits = "".join(c for c in text if c.isdigit())
    other = set(text) - set("0123456789 +-()./")
    return digits if len(digits) >= 5 and not other else ""


def terms(event: Event) -> list[Term]:
    """The terms that an event adds to its order."""
    match event:
        case o.OrderPlaced():
            customer = event.customer
            found = [
                (event.external_id, "number"),
                (customer.customer_id, "customer"),
                (customer.email, "email"),
                (phone(customer.phone), "phone"),
                (customer.name or event.ship_to.name, "name"),
                *((line.sku, "sku") for line in event.lines),
            ]
        case o.OrderShipped():
            found = [(event.tracking_number, "tracking")]
        case _:
            return []
    return [Term(term, kind) for text, kind in found if (term := normal(text))]
