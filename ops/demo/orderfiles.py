"""What a partner writes who drops files: order documents as JSON Lines and CSV (`services.integrations.channels`)."""

import csv
import io
from pathlib import Path
from typing import Any

import msgspec

from services.integrations.channels.files import COLUMNS
from shared.events.order import PlaceOrder


def document(o: PlaceOrder) -> dict[str, Any]:
    """The order document of a command, as the gateway and JSON Lines take it."""
    said = {
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
    built: dict[str, Any] = msgspec.to_builtins(said)
    return built


def as_jsonl(orders: list[PlaceOrder]) -> str:
    """Orders as JSON Lines."""
    return "".join(msgspec.json.encode(document(o)).decode() + "\n" for o in orders)


def as_csv(orders: list[PlaceOrder]) -> str:
    """Orders as CSV."""
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


def drop(folder: Path, name: str, text: str) -> None:
    """Put a file into a folder in one step, as a partner should."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{name}.part"
    unfinished.write_text(text, encoding="utf-8", newline="")
    unfinished.replace(folder / name)
