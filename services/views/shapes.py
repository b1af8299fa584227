"""States as shapes with words: never told by colour alone (WCAG 2.2, 1.4.1)."""

from typing import NamedTuple


class Shape(NamedTuple):
    """A state as it is shown: a glyph of its own shape for each kind, the word, and the kind that
    colours follow."""

    glyph: str
    word: str
    kind: str


_GLYPHS = {"idle": "○", "active": "◐", "good": "●", "warn": "▲", "bad": "✕"}

_WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "order": {
        "unknown": ("idle", "Not yet placed"),
        "placed": ("active", "Placed"),
        "confirmed": ("active", "Confirmed"),
        "completed": ("good", "Completed"),
        "rejected": ("bad", "Refused"),
        "cancelled": ("bad", "Cancelled"),
        "expired": ("bad", "Expired"),
    },
    "payment": {
        "none": ("idle", "Nothing to pay"),
        "pending": ("idle", "Not paid yet"),
        "declined": ("bad", "Declined"),
        "authorised": ("active", "Authorised"),
        "partially_captured": ("active", "Partly paid"),
        "captured": ("good", "Paid"),
        "voided": ("idle", "Given up"),
        "partially_refunded": ("warn", "Partly paid back"),
        "refunded": ("warn", "Paid back"),
    },
    "fulfillment": {
        "none": ("idle", "Nothing to send"),
        "open": ("idle", "Not started"),
        "backordered": ("warn", "Waits for stock"),
        "reserved": ("active", "Reserved"),
        "picking": ("active", "Picking"),
        "packed": ("active", "Packed"),
        "partially_shipped": ("active", "Partly shipped"),
        "shipped": ("active", "Shipped"),
        "partially_delivered": ("active", "Partly delivered"),
        "delivered": ("good", "Delivered"),
        "cancelled": ("bad", "Not sent"),
    },
    "returns": {
        "none": ("idle", "No returns"),
        "requested": ("active", "Return asked for"),
        "approved": ("active", "On its way back"),
        "partially_received": ("active", "Partly received"),
        "received": ("active", "Received"),
        "inspected": ("active", "Inspected"),
        "declined": ("bad", "Return declined"),
        "partially_returned": ("warn", "Partly returned"),
        "returned": ("warn", "Returned"),
    },
    "shipment": {
        "packed": ("active", "Packed, waits for payment"),
        "payment_refused": ("warn", "Payment refused"),
        "ready": ("active", "Ready to leave"),
        "shipped": ("active", "On its way"),
        "delivered": ("good", "Delivered"),
        "stopped": ("bad", "Stopped and unpacked"),
    },
    "return": {
        "requested": ("active", "Asked for"),
        "approved": ("active", "On its way back"),
        "partially_received": ("active", "Partly received"),
        "received": ("active", "Received"),
        "inspected": ("active", "Inspected, refund is due"),
        "settled": ("good", "Settled"),
        "declined": ("bad", "Declined"),
        "cancelled": ("bad", "Cancelled"),
    },
    "refund": {
        "granted": ("active", "Refund is due"),
        "paid": ("good", "Refund paid"),
        "failed": ("bad", "Refund failed: pay by other means"),
    },
    "reservation": {
        "requested": ("idle", "Asked for"),
        "held": ("active", "Held"),
        "backordered": ("warn", "In line for stock"),
        "rejected": ("bad", "Refused"),
        "committed": ("active", "Allocated"),
        "consumed": ("good", "Used up"),
        "released": ("idle", "Given back"),
        "expired": ("bad", "Expired"),
    },
    "notice": {
        "requested": ("active", "Due"),
        "sent": ("good", "Sent"),
        "failed": ("bad", "Failed"),
    },
}


def shape(axis: str, state: str) -> Shape:
    """How a state of an axis is shown; one without words of its own by its name."""
    kind, word = _WORDS[axis].get(state, ("idle", state.replace("_", " ").capitalize()))
    return Shape(_GLYPHS[kind], word, kind)
