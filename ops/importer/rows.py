"""One row of a sales table: text in, typed values out, or the reason why not."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ops.importer.mapping import RowError
from ops.importer.rules import Rules
from ops.importer.sources import RawRow

CELL_CHARACTERS_MAX = 200

_INTEGER = re.compile(r"[+-]?[0-9]{1,12}(\.0+)?")
_DECIMAL = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,6})?")
_CUSTOMER = re.compile(r"([0-9]+)\.0+")  # a number that some tool once read as floating point


class SalesRow(NamedTuple):
    """A typed row.

    ``sku`` is upper case, ``source_sku`` as written; ``at`` is UTC, ``local`` the source's clock.
    """

    document: str
    sku: str
    source_sku: str
    description: str
    quantity: int
    unit_price: Decimal
    local_text: str
    local: datetime
    at: datetime
    time_flag: str | None
    customer: str | None
    country: str


class LocalTime(NamedTuple):
    """A wall-clock time, its instant, and a flag where the clock was set that hour."""

    local: datetime
    at: datetime
    flag: str | None


@lru_cache(maxsize=4096)
def local_time(text: str, time_format: str, zone: str) -> LocalTime:
    """Read local time without a zone. Raises ValueError.

    An hour that happens twice is taken as the first; one that never happens, as if clocks had not
    yet gone forward (PEP 495, fold 0). Both are flagged.
    """
    naive = datetime.strptime(text, time_format)  # noqa: DTZ007 - the zone follows
    local = naive.replace(tzinfo=ZoneInfo(zone))
    at = local.astimezone(UTC)
    flag = None
    if at.astimezone(local.tzinfo).replace(tzinfo=None) != naive:
        flag = "time_does_not_exist"
    elif local.utcoffset() != local.replace(fold=1).utcoffset():
        flag = "time_happens_twice"
    return LocalTime(naive, at, flag)


def parse_row(raw: RawRow, rules: Rules) -> SalesRow:
    """Type one row. Raises RowError naming the column and the text that cannot be used."""
    if not raw.fits:
        raise RowError("another number of cells than the header has")
    for cell in raw.cells:
        if "\x00" in cell or len(cell) > CELL_CHARACTERS_MAX:
            raise RowError(f"a cell with a NUL or more than {CELL_CHARACTERS_MAX} characters")
    document, sku, description, quantity, time, unit_price, customer, country = (
        cell.strip() for cell in raw.cells
    )
    if not document or not sku:
        raise RowError("no invoice number or no stock code")
    clock = _time(time, rules)
    return SalesRow(
        document=document.upper(),
        sku=sku.upper(),
        source_sku=sku,
        description=" ".join(description.split()),
        quantity=_quantity(quantity, rules.quantity_max),
        unit_price=_price(unit_price, rules.price_max),
        local_text=time,
        local=clock.local,
        at=clock.at,
        time_flag=clock.flag,
        customer=(whole[1] if (whole := _CUSTOMER.fullmatch(customer)) else customer) or None,
        country=country,
    )


def _time(text: str, rules: Rules) -> LocalTime:
    try:
        return local_time(text, rules.time_format, rules.zone)
    except (ValueError, OverflowError) as error:
        raise RowError("the time is not in the mapping's format") from error


def _quantity(text: str, largest: int) -> int:
    if not _INTEGER.fullmatch(text):
        raise RowError("the quantity is not a whole number")
    quantity = int(text.partition(".")[0])
    if quantity == 0 or abs(quantity) > largest:
        raise RowError(f"the quantity is zero or beyond {largest}")
    return quantity


def _price(text: str, largest: int) -> Decimal:
    if not _DECIMAL.fullmatch(text):
        raise RowError("the price is not a plain decimal number of at most six places")
    price = Decimal(text)
    if abs(price) > largest:
        raise RowError(f"the price is beyond {largest}")
    return price
