"""The account of an import as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rich.console import Group
from rich.table import Table

from ops.importer.accounting import DocumentKind, Outcome, Summary, Tally


def render(summary: Summary) -> Group:
    """Return the tables: invoices, rows by outcome, what was handed out, and what was noticed."""
    invoices = [(k.value, summary.documents[k]) for k in DocumentKind if k in summary.documents]
    outcomes = [(k.value, summary.outcomes[k]) for k in Outcome if k in summary.outcomes]
    tables = [
        _tallies(f"{summary.channel}: every invoice", invoices, summary, adds_up=True),
        _tallies("Every row, one outcome each", outcomes, summary, adds_up=False),
        _records(summary),
    ]
    rejected = {
        f"{reason}\nfirst in {summary.first_rejected[reason]}": count
        for reason, count in summary.rejections.items()
    }
    for title, counts in (("Rejected rows", rejected), ("Noticed", summary.notes)):
        if counts:
            tables.append(_counts(title, counts.items()))
    return Group(*tables)


def _tallies(
    title: str, rows: list[tuple[str, Tally]], summary: Summary, *, adds_up: bool
) -> Table:
    """One table. ``adds_up`` is False where an invoice can stand in several lines."""
    digits = summary.minor_digits
    table = Table(title=title, title_justify="left", show_footer=True)
    total = Tally()
    for _, tally in rows:
        total.documents += tally.documents
        total.rows += tally.rows
        total.units += tally.units
        total.exact += tally.exact
        total.minor += tally.minor
    table.add_column("", footer="total")
    table.add_column("invoices", justify="right", footer=f"{total.documents:,}" if adds_up else "")
    table.add_column("rows", justify="right", footer=f"{total.rows:,}")
    table.add_column("units", justify="right", footer=f"{total.units:,}")
    table.add_column(f"{summary.currency} exact", justify="right", footer=_major(total.exact))
    table.add_column("minor units", justify="right", footer=f"{total.minor:,}")
    table.add_column("rounded off", justify="right", footer=_major(total.residue(digits)))
    for label, tally in rows:
        table.add_row(
            label,
            f"{tally.documents:,}",
            f"{tally.rows:,}",
            f"{tally.units:,}",
            _major(tally.exact),
            f"{tally.minor:,}",
            _major(tally.residue(digits)),
        )
    return table


def _records(summary: Summary) -> Table:
    table = Table(title="Handed out", title_justify="left")
    table.add_column("")
    for heading in ("records", "lines", "units", "minor units"):
        table.add_column(heading, justify="right")
    for label, tally in sorted(summary.records.items()):
        table.add_row(
            label, f"{tally.documents:,}", f"{tally.rows:,}", f"{tally.units:,}", f"{tally.minor:,}"
        )
    return table


def _counts(title: str, counts: Iterable[tuple[str, int]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    for label, count in sorted(counts):
        table.add_row(label, f"{count:,}")
    return table


def _major(amount: Decimal) -> str:
    return format(amount.normalize() if amount else Decimal(0), ",f")
