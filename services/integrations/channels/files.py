"""Order documents in files: JSON Lines (one document a line) and CSV (one order line a row, see `COLUMNS`; what is said of
the whole order stands in its first row, and again or not at all in the others).

A reading never stops at a bad order: it says what is wrong with it, and goes on.
"""

import csv
import io
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from pydantic import ValidationError

from services.integrations.channels.documents import OrderDocument
from shared.service import Problem
from shared.service.jsonbody import decode
from shared.service.problems import pointer, printable

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
NEEDED = COLUMNS[:5]
OF_A_LINE = ("sku", "quantity", "unit_price", "description")
CHARGES = ("shipping", "tax", "discount")
FORMATS = ("jsonl", "csv")


class Read(NamedTuple):
    """One order of a file: where it begins, its text as a file of its own, and the document or what is wrong."""

    line: int
    payload: str
    document: OrderDocument | None
    wrong: str = ""


def read(text: str, kind: str) -> Iterator[Read]:
    """The orders of a file in one of the `FORMATS`."""
    return _read_csv(text) if kind == "csv" else _read_jsonl(text)


def _read_jsonl(text: str) -> Iterator[Read]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _checked(number, line, lambda line=line: decode(line.encode()))


def _read_csv(text: str) -> Iterator[Read]:
    """Consecutive rows of one number are one order."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        yield Read(reader.line_num, text, None, f"not CSV: {error}")
        return
    if wrong := _wrong_columns(header):
        yield Read(1, text, None, f"{wrong}; the columns are {', '.join(COLUMNS)}")
        return
    at = header.index("number")
    for _, group in groupby(rows, key=lambda x: x[1][at] if len(x[1]) > at else ""):
        lines = list(group)
        cells = [row for _, row in lines]
        yield _checked(lines[0][0], _as_csv([header, *cells]), lambda: _order(header, cells))  # noqa: B023


def _wrong_columns(header: list[str]) -> str:
    """A column that is not known is refused like an unknown field: behind it may be a charge that would be left out."""
    if missing := [x for x in NEEDED if x not in header]:
        return f"no column {', '.join(missing)}"
    if unknown := [x for x in header if x not in COLUMNS]:
        return f"unknown column {', '.join(repr(printable(x, 40)) for x in unknown)}"
    if len(set(header)) < len(header):
        return "a column stands twice"
    return ""


def _checked(line: int, payload: str, value: Any) -> Read:
    """A document, or every field that is wrong with it."""
    try:
        return Read(line, payload, OrderDocument.model_validate(value()))
    except ValidationError as error:
        wrong = "; ".join(
            f"{pointer(e['loc']) or '/'}: {printable(str(e['msg']))}"
            for e in error.errors(include_url=False, include_input=False, include_context=False)[
                :20
            ]
        )
        return Read(line, payload, None, wrong)
    except Problem as error:
        return Read(line, payload, None, error.detail)
    except ValueError as error:
        return Read(line, payload, None, str(error))


def _order(header: list[str], rows: list[list[str]]) -> dict[str, Any]:
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"a row has another number of cells than the header's {len(header)}")
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    first = lines[0]
    for name, said in first.items():
        if name not in OF_A_LINE and any(row[name] not in ("", said) for row in lines[1:]):
            raise ValueError(f"{name}: the order's rows say different things")

    def text(name: str) -> str:
        return first.get(name) or ""

    return {
        "number": text("number"),
        "currency": text("currency"),
        "lines": [
            {
                "sku": row["sku"],
                "quantity": _whole(row, "quantity"),
                "unit_price": _whole(row, "unit_price"),
                "description": row.get("description") or "",
            }
            for row in lines
        ],
        "charges": [{"kind": k, "amount": _whole(first, k)} for k in CHARGES if text(k)],
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


def _whole(row: dict[str, str], column: str) -> int:
    text = row[column]
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise ValueError(f"{column}: a whole number is needed, not {printable(text, 40)!r}")
    return int(text)


def _as_csv(rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
