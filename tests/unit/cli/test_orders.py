"""``oms order show``: what a person reads of an order."""

from typing import Any

from ops.cli.orders import _axes


def order(**more: Any) -> dict[str, Any]:
    axes = dict.fromkeys(("order", "payment", "fulfillment", "returns"), "open")
    status = axes | {"on_hold": False, "cancelling": False}
    return {"id": "o1", "status": status, "reason": "", "placed_at": "t0", "ended_at": None} | more


def hold(**more: Any) -> dict[str, Any]:
    why = {"hold_id": "o1.h1", "kind": "payment", "reason": "capture refused"}
    return why | {"placed_at": "t1", "released_at": None} | more


def test_a_hold_says_why_it_is_there_and_how_it_ends() -> None:
    said = _axes(order(holds=[hold(), hold(hold_id="o1.h0", reason="address", released_at="t0")]))
    assert "held (payment) since t1: capture refused" in said
    assert "POST /orders/o1/holds/o1.h1/release" in said
    assert "address" not in said


def test_an_order_without_holds_speaks_of_none() -> None:
    assert "held" not in _axes(order(holds=[]))
