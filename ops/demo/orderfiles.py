"""Orders in files: JSON Lines (one order a line, see `FileOrder`) and CSV (one order line a row, see `COLUMNS`)."""

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Any, Literal

import msgspec

from shared.events import Address, BackorderPolicy, Charge, Customer, OrderLine
from shared.events.order import PlaceOrder

COLUMNS = (
    "number",
    "currency",
    "sku",
    "quantity",
    "unit_price",
    "description",
    "name",
    "email",
    "address",
    "city",
    "postal_code",
    "country",
    "shipping",
    "tax",
    "discount",
    "payment",
    "backorder",
)

Text = Annotated[str, msgspec.Meta(max_length=500)]
Minor = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
Units = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class FileLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of an order in a file; money in minor units."""

    sku: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    quantity: Units
    unit_price: Minor
    description: Text = ""


class FileOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One order in a file."""

    number: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z]{3}$")]
    lines: Annotated[tuple[FileLine, ...], msgspec.Meta(min_length=1, max_length=2_000)]
    charges: tuple[Charge, ...] = ()
    customer: Customer = Customer()
    ship_to: Address = Address()
    payment: Text = ""
    backorder: BackorderPolicy = "refuse"

    def command(self, channel: str) -> PlaceOrder:
        """What the channel asks for with it."""
        return PlaceOrder(
            channel=channel,
            external_id=self.number,
            currency=self.currency,
            lines=tuple(
                OrderLine(
                    line_id=str(n),
                    sku=x.sku,
                    quantity=x.quantity,
                    unit_price=x.unit_price,
                    total=x.quantity * x.unit_price,
                    description=x.description,
                )
                for n, x in enumerate(self.lines, 1)
            ),
            charges=self.charges,
            customer=self.customer,
            ship_to=self.ship_to,
            payment_method=self.payment,
            backorder=self.backorder,
        )


class Problem(msgspec.Struct, frozen=True):
    """An order of a file that could not be used: where it begins, and why."""

    line: int
    reason: str


Read = tuple[int, FileOrder | Problem]


class UnreadableFile(ValueError):
    """The file as a whole cannot be read; the message says why."""


_order = msgspec.json.Decoder(FileOrder)


def read_jsonl(text: str) -> Iterator[Read]:
    """The orders of a JSON Lines file, or what is wrong with each, with their line numbers."""
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, _order.decode(line)
        except msgspec.MsgspecError as error:
            yield number, Problem(number, str(error))


def read_csv(text: str) -> Iterator[Read]:
    """The orders of a CSV file: consecutive rows of one number are one order. Raises `UnreadableFile`."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [
        x
        for x in ("number", "currency", "sku", "quantity", "unit_price")
        if x not in (reader.fieldnames or ())
    ]
    if missing:
        raise UnreadableFile(
            f"no column {', '.join(missing)}; the columns are {', '.join(COLUMNS)}"
        )
    try:
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UnreadableFile(f"line {reader.line_num}: {error}") from error
    for _, group in groupby(rows, key=lambda x: x[1]["number"]):
        lines = list(group)
        at = lines[0][0]
        try:
            yield at, _from_rows([row for _, row in lines])
        except (msgspec.MsgspecError, ValueError) as error:
            yield at, Problem(at, str(error))


def _from_rows(rows: list[dict[str, str]]) -> FileOrder:
    def text(name: str) -> str:
        return rows[0].get(name) or ""

    kinds: tuple[Literal["shipping", "tax", "discount"], ...] = ("shipping", "tax", "discount")
    order = {
        "number": text("number"),
        "currency": text("currency"),
        "lines": [
            {
                "sku": row["sku"],
                "quantity": int(row["quantity"]),
                "unit_price": int(row["unit_price"]),
                "description": row.get("description") or "",
            }
            for row in rows
        ],
        "charges": [{"kind": k, "amount": int(text(k))} for k in kinds if text(k)],
        "customer": {"name": text("name"), "email": text("email")},
        "ship_to": {
            "line1": text("address"),
            "city": text("city"),
            "postal_code": text("postal_code"),
            "country": text("country"),
        },
        "payment": text("payment"),
        "backorder": text("backorder") or "refuse",
    }
    return msgspec.convert(order, FileOrder)


def as_jsonl(orders: list[PlaceOrder]) -> str:
    """What a partner would write for these orders, as JSON Lines."""
    return "".join(msgspec.json.encode(_as_written(o)).decode() + "\n" for o in orders)


def _as_written(o: PlaceOrder) -> dict[str, Any]:
    return {
        "number": o.external_id,
        "currency": o.currency,
        "lines": [
            {
                "sku": x.sku,
                "quantity": x.quantity,
                "unit_price": x.unit_price,
                "description": x.description,
            }
            for x in o.lines
        ],
        "charges": o.charges,
        "customer": o.customer,
        "ship_to": o.ship_to,
        "payment": o.payment_method,
        "backorder": o.backorder,
    }


def as_csv(orders: list[PlaceOrder]) -> str:
    """What a partner would write for these orders, as CSV."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, COLUMNS)
    writer.writeheader()
    for o in orders:
        charges = {c.kind: c.amount for c in o.charges}
        for x in o.lines:
            writer.writerow(
                {
                    "number": o.external_id,
                    "currency": o.currency,
                    "sku": x.sku,
                    "quantity": x.quantity,
                    "unit_price": x.unit_price,
                    "description": x.description,
                    "name": o.customer.name,
                    "email": o.customer.email,
                    "address": o.ship_to.line1,
                    "city": o.ship_to.city,
                    "postal_code": o.ship_to.postal_code,
                    "country": o.ship_to.country,
                    "payment": o.payment_method,
                    "backorder": o.backorder,
                    **{k: charges.get(k, "") for k in ("shipping", "tax", "discount")},
                }
            )
    return out.getvalue()
