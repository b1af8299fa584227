"""The dashboard where there is little to show."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from benchmarks.insights_load import START, Shop
from services.insights.dashboard import gather
from services.insights.figures import Figures
from services.insights.pages import _templates
from services.insights.state import State
from tests.unit.insights.site import PARTITIONS, SKUS, add


def test_a_shop_that_has_stock_and_no_orders_is_told_so() -> None:
    state = State(PARTITIONS)
    state.hold({}, frozenset(range(PARTITIONS)))
    records = islice(Shop(PARTITIONS, skus=SKUS).records(500), 500)
    add(state, (r for r in records if r[0][0] == "oms.inventory.events"))
    figures = gather(Figures(state), {}, datetime.now(START.tzinfo))
    assert figures.newest
    page = _templates.get_template("figures.html").render(f=figures)
    assert "<img" not in page
    assert "No orders in this hour." in page
    assert "No channel has sold yet." in page
    assert "Nothing has been sold today." in page
