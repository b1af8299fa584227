"""The provider's ledger and the mail sink as files, and systems that are not there."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from ops.reconcile import CannotRead, PaymentsSource, SinkSource, sources_of
from ops.sink.store import Again, Received
from ops.stack import StackError
from shared.payments.rules import Entry
from shared.payments.sqlite_store import SqliteStore

AT = datetime(2026, 1, 5, tzinfo=UTC)


def line(record: Received | Again) -> bytes:
    return msgspec.json.encode(record) + b"\n"


async def test_the_sinks_file_counts_what_came_again_and_leaves_out_an_unfinished_line(
    tmp_path: Path,
) -> None:
    path = tmp_path / "mail.jsonl"
    one, two = (Received(id, AT, "from", ["to"], "", b"") for id in "ab")
    path.write_bytes(line(one) + line(two) + line(Again("a", AT)) + line(two)[:-5])
    [mails] = [page async for page in SinkSource(path=path).pages()]
    assert [(m.id, m.received) for m in mails] == [("a", 2), ("b", 1)]


async def test_a_damaged_sink_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "mail.jsonl"
    path.write_bytes(line(Again("never came", AT)))
    with pytest.raises(CannotRead, match=r"mail\.jsonl cannot be read"):
        _ = [page async for page in SinkSource(path=path).pages()]


async def test_the_ledgers_file_is_read_to_its_end(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "payments.sqlite")
    store.begin()
    for n in range(1, 2_301):
        entry = Entry(n, "declined", "authorise", f"k{n}", "p", "", n, "GBP", "m", "", AT)
        store.append(entry, None)
    store.commit()
    store.close()
    pages = [page async for page in PaymentsSource(path=store.path).pages()]
    assert [x.amount for page in pages for x in page] == list(range(1, 2_301))


async def test_no_system_no_sources(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="holds no system"):
        async with sources_of(tmp_path):
            pass
