"""Batches: what fails is parked with its key and leaves no trace."""

from __future__ import annotations

import msgspec
import pytest

from services.views.batch import Batch, Meta
from services.views.domain import document as documents
from services.views.domain.document import Document
from tests.unit.views.journey import Journey, Topics, received, task


def records(*journeys: Journey) -> Topics:
    topics = Topics()
    for journey in journeys:
        topics.publish(journey.said)
    return topics


def test_a_batch_folds_documents_and_keeps_every_record() -> None:
    j = Journey().whole()
    batch = Batch({}, set())
    for record in records(j):
        assert not batch.settle(task(record)).parked
    [document] = batch.documents.values()
    assert document.order.status == "completed"
    assert document.version == len(j.said) == len(batch.entries)
    first = next(e for e in batch.entries if e.type == "oms.order.placed.v1")
    assert msgspec.json.decode(first.meta, type=Meta).causation == "request-1"
    assert batch.was(j.order_id) == 0
    assert {t.kind for t in batch.terms.values()} >= {"number", "email", "sku", "tracking"}


def test_a_batch_goes_on_from_what_was_found() -> None:
    j = Journey().placed().reserved()
    found = Document(order_id=j.order_id)
    found = documents.apply(found, j.said[0].event, j.said[0].at)
    batch = Batch({j.order_id: found}, set())
    rest = [r for r in records(j) if b"placed" not in dict(r.headers)["ce_type"]]
    for record in rest:
        batch.settle(task(record))
    assert batch.was(j.order_id) == 1
    assert batch.documents[j.order_id].version == 3


def test_a_fold_that_fails_parks_the_key_and_others_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = Journey("1").whole(), Journey("2").whole()

    placed = type(bad.said[0].event)

    def apply(document: Document, event: object, at: object) -> Document:
        if document.order_id == bad.order_id and type(event) is placed:
            raise ValueError("planted")
        return original(document, event, at)  # type: ignore[arg-type]

    original = documents.apply
    monkeypatch.setattr(documents, "apply", apply)
    batch = Batch({}, set())
    outcomes = [(r, batch.settle(task(r))) for r in records(bad, good)]
    parked = [r for r, outcome in outcomes if outcome.parked]
    assert {r.key for r in parked} == {bad.order_id.encode()}
    assert {r.topic for r in parked} == {"oms.order.events"}
    assert len(parked) == sum(1 for s in bad.said if s.event.service() == "order")
    assert "planted" in batch.parked[0].error
    assert "queued behind" in batch.parked[1].error
    assert batch.documents[good.order_id].order.status == "completed"
    # What the other topics say of the order is kept: its parts do not need each other.
    assert batch.documents[bad.order_id].stock.reservations[0].state == "consumed"


def test_stock_of_a_batch_is_summed() -> None:
    topics = Topics()
    topics.publish([received("TEA-01", 5), *Journey().whole().said])
    batch = Batch({}, set())
    for record in topics:
        batch.settle(task(record))
    assert batch.movements["TEA-01", "LON"] == [3, 0, 0]
