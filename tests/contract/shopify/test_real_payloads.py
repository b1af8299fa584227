"""The real archive's Shopify payloads: each is taken, noted or refused with a reason, as the documentation says."""

from __future__ import annotations

import json

import pytest

from services.integrations.channels.shopify.webhooks import Webhook, read
from services.integrations.domain.messages import TakeOrder
from services.order.domain.placing import problems
from shared.events.shares import order_total
from tests.contract.shopify.outcomes import ARCHIVE, outcome, payloads, rows, written

pytestmark = pytest.mark.skipif(
    not ARCHIVE.exists(), reason=f"no {ARCHIVE.name} in ../shared/data or OMS_DATA"
)


def test_the_documented_table_is_what_comes_of_the_files() -> None:
    assert written() == rows(), "run: python -m tests.contract.shopify.outcomes"


def test_every_file_has_an_outcome_and_every_refusal_a_reason() -> None:
    found = [outcome(x) for x in payloads()]
    assert len(found) > 130
    assert {x.what for x in found} >= {"taken", "refused"}
    assert all(x.why for x in found)


def test_the_exemplar_would_be_placed_if_it_were_alive() -> None:
    [exemplar] = [x for x in payloads() if x.path == "2026-04/orders/create.json"]
    order = json.loads(exemplar.body)
    order |= {"cancelled_at": None, "test": False, "confirmed": True, "financial_status": "paid"}
    found = read(Webhook("orders/create", "w", json.dumps(order).encode(), "shop"), "tok_ok")
    assert isinstance(found, TakeOrder)
    command = found.order
    assert command.external_id == "820982911946154508", "the gid's id, not the rounded number"
    assert [x.line_id for x in command.lines][:2] == ["487817672276298554", "789012345678901234"]
    assert command.customer.customer_id == "115310627314723954"
    assert order_total(command.lines, command.charges) == 40_495
    assert problems(command) == []
