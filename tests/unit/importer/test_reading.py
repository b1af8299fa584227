"""Bad rows are rejected with a reason, bad sources refused; the way in makes no difference."""

import tarfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from ops.importer import AccountingError, Import, SourceError
from ops.importer.accounting import DocumentKind, Outcome, RowResult
from ops.importer.mapping import MappedDocument
from ops.importer.online_retail import OnlineRetail
from ops.importer.records import AnyRecord, Credit, HistoricOrder, Rejected, Unmatched
from ops.importer.registry import mapping_named
from ops.importer.rows import SalesRow
from ops.importer.table import render
from tests.unit.importer.retail import (
    HEADER,
    MONDAY,
    TUESDAY,
    csv_text,
    import_from,
    imported,
    row,
)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("1", "A1", "1.5"), "whole number"),
        (row("1", "A1", "NaN"), "whole number"),
        (row("1", "A1", ""), "whole number"),
        (row("1", "A1", "١"), "whole number"),
        (row("1", "A1", 0), "zero or beyond"),
        (row("1", "A1", 2**40), "whole number"),
        (row("1", "A1", 1_000_001), "zero or beyond"),
        (row("1", "A1", 1, "NaN"), "plain decimal"),
        (row("1", "A1", 1, "1e309"), "plain decimal"),
        (row("1", "A1", 1, "1,50"), "plain decimal"),
        (row("1", "A1", 1, "99999999"), "beyond"),
        (row("1", "A1", 1, "-1.0"), "negative price"),
        (row("1", "A1", at="01/12/2010 08:26"), "time is not"),
        (row("1", "A1", at="2010-02-30 08:26:00"), "time is not"),
        (row("", "A1"), "no invoice number"),
        (row("1", ""), "no invoice number or no stock code"),
        (row("1", "A1", name="nul \x00"), "NUL"),
        (row("1", "A1", name="x" * 201), "200 characters"),
        (row("1", "A1")[:-1], "number of cells"),
        ((*row("1", "A1"), "more"), "number of cells"),
        (row("X1", "A1"), "prefix 'X'"),
        (row("1", "D", -1, "1.0"), "sells nothing"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_where_it_stands(
    tmp_path: Path, bad: tuple[str, ...], reason: str
) -> None:
    result = imported(tmp_path, row("9", "B2"), bad)
    rejected = result.only(Rejected)
    assert (rejected.file, rejected.line, rejected.cells) == ("day.csv", 3, bad)
    assert reason in rejected.reason
    assert result.only(HistoricOrder).external_id == "9"
    assert result.summary.outcomes[Outcome.REJECTED].rows == 1
    assert result.summary.documents[DocumentKind.REJECTED].documents == 1
    assert result.summary.first_rejected == {rejected.reason: "day.csv, line 3"}
    assert not result.summary.useless
    assert imported(tmp_path, bad, bad).summary.useless


def test_one_bad_row_does_not_lose_the_order_around_it(tmp_path: Path) -> None:
    result = imported(tmp_path, row("1", "A1"), row("1", "B2", "x"), row("1", "C3"))
    assert [x.sku for x in result.only(HistoricOrder).lines] == ["A1", "C3"]
    assert len(result.all(Rejected)) == 1


def test_directory_archive_and_file_give_the_same_records(tmp_path: Path) -> None:
    rows = [row(str(n), f"S{n % 3}", at=at) for n, at in enumerate((TUESDAY, MONDAY, TUESDAY))]
    folder = tmp_path / "data" / "by-day"
    folder.mkdir(parents=True)
    (folder / "1.csv").write_text(csv_text(rows[:2]), encoding="utf-8")
    (folder / "2.csv").write_text(csv_text(rows[2:]), encoding="utf-8")
    (folder / "notes.txt").write_text("not rows", encoding="utf-8")
    archive = tmp_path / "data.tar.xz"
    with tarfile.open(archive, "w:xz") as out:
        out.add(tmp_path / "data", arcname="data")
    single = tmp_path / "all.csv"
    single.write_text(csv_text(rows[::-1]), encoding="utf-8")

    records = import_from(tmp_path / "data").records
    assert [x.external_id for x in records if isinstance(x, HistoricOrder)] == ["1", "0", "2"]
    assert import_from(archive).records == records
    assert import_from(single).records == records
    assert import_from(folder).records == records
    assert len({record.key() for record in records}) == len(records)


def test_columns_are_found_by_name_whatever_their_order_and_a_byte_order_mark(
    tmp_path: Path,
) -> None:
    file = tmp_path / "x.csv"
    text = csv_text([(*row("1", "A1")[::-1], "extra")], (*HEADER[::-1], "Extra"))
    file.write_text("\ufeff" + text, encoding="utf-8")
    assert import_from(file).only(HistoricOrder).lines[0].sku == "A1"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("x.csv", b"InvoiceNo,StockCode\n1,2\n", "no column Description"),
        ("x.csv", b"", "no column InvoiceNo"),
        ("x.csv", csv_text([row("1", "A1", name="£")]).encode("cp1252"), "set `encoding`"),
        ("x.csv", csv_text([row("1", "A1", name="x" * 140_000)]).encode(), "line 2: field larger"),
        ("x.tar.xz", b"not an archive", "cannot be read to its end"),
    ],
)
def test_a_source_that_cannot_be_read_is_refused_with_the_way_out(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(SourceError, match=says):
        import_from(file)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(
        csv_text([row(str(n), f"S{n}") for n in range(999)]), encoding="utf-8"
    )
    archive = tmp_path / "x.tar.xz"
    with tarfile.open(archive, "w:xz") as out:
        out.add(tmp_path / "x.csv", arcname="x.csv")
    archive.write_bytes(archive.read_bytes()[:-400])
    with pytest.raises(SourceError, match="cannot be read to its end"):
        import_from(archive)


def test_a_missing_or_empty_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        import_from(tmp_path / "nothing")
    with pytest.raises(SourceError, match=r"no \.csv file"):
        import_from(tmp_path)


def test_an_import_runs_once_and_its_books_are_shown_only_complete(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text(csv_text([row("1", "A1")]), encoding="utf-8")
    run = Import(file, mapping_named("online-retail"))
    with pytest.raises(AccountingError, match="after the last record"):
        _ = run.summary
    assert len(list(run)) == 2
    assert run.summary.orders == 1
    with pytest.raises(AccountingError, match="iterated once"):
        iter(run)
    with pytest.raises(KeyError, match="online-retail"):
        mapping_named("no-such-source")


class Forgetful(OnlineRetail):
    """Loses the last row of every document."""

    def map_document(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        """Answer for one row too few."""
        whole = super().map_document(document, rows)
        return MappedDocument(whole.kind, whole.records, whole.results[:-1])


class Silent(OnlineRetail):
    """Rejects without a reason."""

    def map_document(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        """Reject everything, saying nothing."""
        results = (RowResult(Outcome.REJECTED),) * len(rows)
        return MappedDocument(DocumentKind.REJECTED, (), results)


class Dropping(OnlineRetail):
    """Accounts for every row but hands out no record."""

    def map_document(self, document: str, rows: list[SalesRow]) -> MappedDocument:
        """Keep the books, lose the order."""
        whole = super().map_document(document, rows)
        return MappedDocument(whole.kind, (), whole.results)


@pytest.mark.parametrize(
    ("mapping", "says"),
    [(Forgetful, "0 and rejected"), (Silent, "with 0 reasons"), (Dropping, "does not hold")],
)
def test_a_mapping_that_loses_something_is_caught(
    tmp_path: Path, mapping: type[OnlineRetail], says: str
) -> None:
    file = tmp_path / "x.csv"
    file.write_text(csv_text([row("1", "A1")]), encoding="utf-8")
    with pytest.raises(AccountingError, match=says):
        list(Import(file, mapping()))


def test_the_account_reads_as_a_table_and_as_json(tmp_path: Path) -> None:
    summary = imported(
        tmp_path, row("1", "PADS", 1, "0.001"), row("C2", "A1", -1), row("4", "A1")[:-1]
    ).summary
    console = Console(width=140)
    with console.capture() as capture:
        console.print(render(summary))
    assert "fee-only order" not in capture.get()
    assert "unmatched: no_earlier_sale" in capture.get()
    assert "0.001" in capture.get()
    assert "first in day.csv, line 4" in capture.get()
    account = msgspec.json.decode(msgspec.json.encode(summary.as_dict()))
    assert account["sales"]["exact_amount"] == "0.001"
    assert account["by_record"]["unmatched: no_earlier_sale"]["minor_amount"] == -100


INVOICES = st.sampled_from(["1", "2", "C3", "C4", "A5", "X6", "", "c3", "7é"])
SKUS = st.sampled_from(["A1", "a1", "B2", "POST", "M", "D", "gift_0001_10", ""])
QUANTITIES = st.sampled_from(["1", "2", "-1", "-3", "80995", "-80995", "0", "1.0", "x", "-0"])
PRICES = st.sampled_from(["0", "0.0", "0.001", "0.015", "1.0", "2.55", "-3.0", "NaN", "1e5"])
TIMES = st.sampled_from([MONDAY, TUESDAY, "2011-03-27 01:30:00", "later"])
CUSTOMERS = st.sampled_from(["", "17850.0", "12345.0", "abc"])
NAMES = st.sampled_from(["", "?", "THING", "damaged", 'quo"te,\nnew line'])
ROWS = st.tuples(INVOICES, SKUS, NAMES, QUANTITIES, TIMES, PRICES, CUSTOMERS, st.just("EIRE"))


@given(rows=st.lists(st.one_of(ROWS, ROWS.map(lambda cells: cells[:5])), max_size=25))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_rows_each_has_exactly_one_outcome_and_the_money_balances(
    tmp_path: Path, rows: list[tuple[str, ...]]
) -> None:
    result = imported(
        tmp_path, *rows
    )  # Import.summary proves the books; these are seen from outside
    assert result.summary.rows_read == len(rows)
    assert sum(tally.rows for tally in result.summary.outcomes.values()) == len(rows)
    rejected = result.summary.outcomes.get(Outcome.REJECTED)
    assert len(result.all(Rejected)) == (rejected.rows if rejected else 0)
    keys = [record.key() for record in result.records]
    assert len(set(keys)) == len(keys)
    assert_nothing_is_credited_twice(result.records)


SOLD = st.builds(
    lambda invoice, sku, units, price: row(f"{invoice}", sku, units, price),
    st.integers(1, 3),
    st.sampled_from(["A1", "M"]),
    st.integers(1, 3),
    st.sampled_from(["0.005", "0.015", "1.0"]),
)
CREDITED = st.builds(
    lambda invoice, sku, units, price: row(f"C{invoice}", sku, -units, price, at=TUESDAY),
    st.integers(4, 6),
    st.sampled_from(["A1", "M"]),
    st.integers(1, 5),
    st.sampled_from(["0.005", "0.015", "1.0", "2.0"]),
)


@given(sold=st.lists(SOLD, min_size=1, max_size=5), back=st.lists(CREDITED, max_size=6))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_credited_nothing_comes_back_twice(
    tmp_path: Path, sold: list[tuple[str, ...]], back: list[tuple[str, ...]]
) -> None:
    result = imported(tmp_path, *sold, *back)
    assert result.all(Rejected) == []
    assert_nothing_is_credited_twice(result.records)
    assert all(x.amount >= 0 and x.quantity >= 0 for x in result.all(Unmatched))


def assert_nothing_is_credited_twice(records: list[AnyRecord]) -> None:
    """Per order line: units back ≤ units sold, money back ≤ money paid."""
    units: dict[tuple[str, str], int] = {}
    money: dict[tuple[str, str], int] = {}
    for record in records:
        if isinstance(record, HistoricOrder):
            for line in record.lines:
                units[record.external_id, line.line_id] = line.quantity
                money[record.external_id, line.line_id] = line.total
            for charge in record.charges:
                units[record.external_id, charge.charge_id] = charge.quantity
                money[record.external_id, charge.charge_id] = charge.total
        elif isinstance(record, Credit):
            for back in record.lines:
                units[record.order_external_id, back.order_line_id] -= back.quantity
                money[record.order_external_id, back.order_line_id] -= back.amount
                assert units[record.order_external_id, back.order_line_id] >= 0
                assert money[record.order_external_id, back.order_line_id] >= 0
