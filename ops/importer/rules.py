"""The data half of a mapping: names, codes and limits of a source of sales rows, read from TOML."""

from __future__ import annotations

import re
from importlib import resources

import msgspec


class Columns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The source's own names of the columns."""

    document: str
    sku: str
    description: str
    quantity: str
    time: str
    unit_price: str
    customer: str
    country: str


class MovementReason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A reason code and the beginnings of words that stand for it in a note."""

    reason: str
    words: tuple[str, ...]


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything about a source that is data.

    Raises msgspec.ValidationError naming the field that is wrong.
    """

    channel: str
    currency: str
    minor_digits: int
    encoding: str
    zone: str
    time_format: str
    quantity_max: int
    price_max: int
    cancellation_days_max: int
    columns: Columns
    prefixes: dict[str, str]
    charges: dict[str, str]
    charge_prefixes: dict[str, str]
    movement_reasons: tuple[MovementReason, ...]
    countries: dict[str, str]

    @classmethod
    def load(cls, name: str) -> Rules:
        """Read ``<name>.toml`` that lies beside this module."""
        text = resources.files("ops.importer").joinpath(f"{name}.toml").read_bytes()
        return msgspec.toml.decode(text, type=cls)

    def charge_kind(self, code: str) -> str | None:
        """Return what kind of charge an upper-case code is, or None for goods."""
        kind = self.charges.get(code)
        if kind is None:
            kind = next(
                (k for start, k in self.charge_prefixes.items() if code.startswith(start)), None
            )
        return kind

    def movement_reason(self, note: str) -> str:
        """Return the reason code of a stock movement's note.

        ``unexplained`` if it says nothing known.
        """
        text = note.lower()
        for entry in self.movement_reasons:
            for word in entry.words:
                pattern = (r"\b" if word[0].isalnum() else "") + re.escape(word)
                if re.search(pattern, text):
                    return entry.reason
        return "unexplained"
