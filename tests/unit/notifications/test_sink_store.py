"""What the sink keeps: once per Message-ID, across restarts and torn writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.sink.store import FileDamagedError, MessageStore, html_of, identify

ONE = b"Message-ID: <1@x>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n"
TWO = b"Subject: two\r\n  folded\r\nMessage-ID: <2@x>\r\n\r\nHello\r\n"


@pytest.mark.parametrize("named", [True, False])
def test_repetitions_are_counted_and_not_kept(tmp_path: Path, named: bool) -> None:
    store = MessageStore(tmp_path / "mail.jsonl" if named else None)
    for raw in (ONE, TWO, ONE, ONE):
        store.add("a@x", ["b@x"], raw)
    assert [(e.id, e.received) for e in store.entries()] == [("1@x", 3), ("2@x", 1)]
    assert (len(store), store.duplicates) == (2, 2)
    assert store.raw("1@x") == ONE
    assert store.raw("3@x") is None
    assert [e.id for e in store.entries(after=1, limit=5)] == ["2@x"]
    store.close()


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mail.jsonl"
    store = MessageStore(path)
    for raw in (ONE, TWO, ONE):
        store.add("a@x", ["b@x"], raw)
    store.close()
    again = MessageStore(path)
    assert [(e.id, e.subject, e.received) for e in again.entries()] == [
        ("1@x", "Grüße", 2),
        ("2@x", "two folded", 1),
    ]
    again.add("a@x", ["b@x"], TWO)
    assert again.raw("2@x") == TWO
    again.close()


def test_a_file_has_one_sink(tmp_path: Path) -> None:
    store = MessageStore(tmp_path / "mail.jsonl")
    with pytest.raises(OSError, match="another sink"):
        MessageStore(tmp_path / "mail.jsonl")
    store.close()
    MessageStore(tmp_path / "mail.jsonl").close()


def test_a_torn_last_line_goes(tmp_path: Path) -> None:
    path = tmp_path / "mail.jsonl"
    store = MessageStore(path)
    store.add("a@x", ["b@x"], ONE)
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])
    again = MessageStore(path)
    again.add("a@x", ["b@x"], TWO)
    assert (len(again), again.raw("1@x"), again.raw("2@x")) == (2, ONE, TWO)
    again.close()


def test_another_kind_of_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("my notes\n")
    with pytest.raises(FileDamagedError, match=r"line 1.*OMS_SINK_FILE"):
        MessageStore(path)
    assert path.read_text() == "my notes\n"


def test_messages_without_an_id_are_known_by_their_bytes() -> None:
    assert identify(b"Subject: x\r\n\r\nA")[0] != identify(b"Subject: x\r\n\r\nB")[0]
    assert identify(b"no header at all")[0].startswith("sha256-")
    assert identify(b"Subject: =?nonsense?q?x?=\r\n\r\n")[1] == "=?nonsense?q?x?="


def test_the_html_part_is_found() -> None:
    raw = b"Content-Type: text/html; charset=utf-8\r\n\r\n<p>\xc3\xbc</p>"
    assert html_of(raw) == "<p>ü</p>"
    assert html_of(ONE) is None
