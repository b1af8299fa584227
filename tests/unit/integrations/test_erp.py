"""Documents for accounting: one for each cause, numbered without gaps, adding up to the order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as forall
from hypothesis import strategies as st

from services.integrations.domain.allocating import allocate
from services.integrations.domain.cursors import AcknowledgeDocuments, RewindDocuments
from services.integrations.domain.erp import Unaccountable
from services.integrations.handlers import table
from shared.events import Address, Charge, Customer, LineQuantity, Money, OrderLine
from shared.events import order as o
from shared.events.erp import CreditNote, CursorMoved, Invoice, NumberGiven, SalesOrder
from shared.events.shares import order_total, shares, units
from tests.spec import NOON, Scenario, given

TABLE = table()
LINES = (
    OrderLine(line_id="1", sku="TEA", quantity=3, unit_price=333, total=999),
    OrderLine(line_id="2", sku="CUP", quantity=1, unit_price=500, total=500),
)
CHARGES = (
    Charge(kind="discount", amount=100, description="WELCOME"),
    Charge(kind="shipping", amount=401),
    Charge(kind="tax", amount=37),
)


def placed(
    lines: tuple[OrderLine, ...] = LINES, charges: tuple[Charge, ...] = CHARGES, id: str = "o1"
) -> o.OrderPlaced:
    return o.OrderPlaced(
        order_id=id,
        channel="web",
        external_id="1001",
        currency="GBP",
        lines=lines,
        charges=charges,
        total=order_total(lines, charges),
        customer=Customer(name="Ada"),
        ship_to=Address(country="GB"),
        payment_method="tok_ok",
        backorder="refuse",
        placed_at=NOON,
    )


def confirmed(id: str = "o1") -> o.OrderConfirmed:
    return o.OrderConfirmed(
        order_id=id, channel="web", external_id="1001", total=Money(placed().total, "GBP")
    )


def some(line_id: str, quantity: int) -> LineQuantity:
    sku = {"1": "TEA", "2": "CUP"}[line_id]
    return LineQuantity(line_id=line_id, sku=sku, quantity=quantity)


def packed(package: str, amount: int, *lines: LineQuantity) -> o.OrderPacked:
    return o.OrderPacked(
        order_id="o1",
        fulfillment_id="o1.f1",
        package_id=package,
        lines=lines,
        capture=Money(amount, "GBP"),
    )


def shipped(package: str, *lines: LineQuantity) -> o.OrderShipped:
    return o.OrderShipped(
        order_id="o1",
        fulfillment_id="o1.f1",
        package_id=package,
        location="LON",
        lines=lines,
        carrier="DPD",
        tracking_number="T1",
    )


def costs(*lines: LineQuantity, before: int = 0) -> int:
    payable, _ = shares(LINES, CHARGES)
    of = {line.line_id: (p, line.quantity) for line, p in zip(LINES, payable, strict=True)}
    return sum(units(*of[x.line_id], before, x.quantity) for x in lines)


def documents(scenario: Scenario) -> list[Any]:
    return [x for x in scenario.items if isinstance(x, SalesOrder | Invoice | CreditNote)]


def test_a_confirmed_order_is_a_sales_order_once() -> None:
    scenario = given(TABLE).when(placed()).when(confirmed())
    [document] = documents(scenario)
    assert (document.number, document.position) == ("SO-2026-000001", 1)
    assert [x.amount for x in document.lines] == [999, 500]
    assert [(c.kind, c.amount) for c in document.charges] == [
        ("discount", -100),
        ("shipping", 401),
        ("tax", 37),
    ]
    assert document.total == 1837 == sum(x.amount for x in (*document.lines, *document.charges))
    assert document.route() == "oms.erp.documents"
    scenario.when(confirmed(), id="m-2").nothing()
    scenario.when(placed(), id="m-3").nothing()


def test_a_package_is_invoiced_when_it_leaves_and_the_invoices_are_the_order() -> None:
    scenario = given(TABLE).when(placed()).when(confirmed())
    first, second = (some("1", 1), some("2", 1)), (some("1", 2),)
    scenario.when(packed("o1.f1.p1", costs(*first), *first))
    assert documents(scenario) == []
    scenario.when(packed("o1.f1.p2", costs(*second, before=1), *second))
    one = documents(scenario.when(shipped("o1.f1.p2", *second)))
    two = documents(scenario.when(shipped("o1.f1.p1", *first)))
    scenario.when(shipped("o1.f1.p1", *first), id="again").nothing()
    assert [d.number for d in (*one, *two)] == ["INV-2026-000001", "INV-2026-000002"]
    assert [d.position for d in (*one, *two)] == [2, 3]
    assert {d.sales_order for d in (*one, *two)} == {"SO-2026-000001"}
    assert sum(d.total for d in (*one, *two)) == placed().total
    for n, charge in enumerate([401, 37, -100]):
        assert sum(d.charges[n].amount for d in (*one, *two)) == charge


def test_a_refund_is_a_credit_note_for_what_came_back() -> None:
    scenario = given(TABLE).when(placed()).when(confirmed())
    lines = (some("1", 3), some("2", 1))
    scenario.when(packed("o1.f1.p1", costs(*lines), *lines)).when(shipped("o1.f1.p1", *lines))
    _, refundable = shares(LINES, CHARGES)
    back = units(refundable[0], 3, 0, 2)
    accepted = o.ReturnAccepted(
        order_id="o1",
        return_id="r1",
        refund_id="r1.refund",
        lines=(some("1", 1), some("1", 1)),
        refund=Money(back, "GBP"),
    )
    issued = o.RefundIssued(
        order_id="o1",
        refund_id="r1.refund",
        payment_id="p",
        return_id="r1",
        amount=Money(back, "GBP"),
    )
    assert documents(scenario.when(accepted)) == []
    [note] = documents(scenario.when(issued))
    scenario.when(issued, id="again").nothing()
    assert (note.number, note.invoices, note.total) == (
        "CN-2026-000001",
        ("INV-2026-000001",),
        back,
    )
    assert sum(x.amount for x in note.lines) == back


def test_an_order_without_goods_is_invoiced_when_it_is_charged() -> None:
    fees = placed((), (Charge(kind="fee", amount=700),))
    taken = o.PaymentCaptured(
        order_id="o1", payment_id="p", capture_id="c", package_id="", amount=Money(700, "GBP")
    )
    scenario = given(TABLE).when(fees).when(confirmed())
    [invoice] = documents(scenario.when(taken))
    assert (invoice.total, invoice.lines, invoice.package_id) == (700, (), "")
    scenario.when(taken, id="again").nothing()


def test_a_package_whose_price_is_not_what_its_units_cost_stops() -> None:
    scenario = given(TABLE).when(placed())
    with pytest.raises(Unaccountable, match="is charged 5, its units cost"):
        scenario.when(packed("o1.f1.p1", 5, some("1", 1)))
    with pytest.raises(Unaccountable, match="was never packed"):
        scenario.when(shipped("o1.f1.p9", some("1", 1)))


def test_numbers_begin_anew_with_the_year_and_positions_do_not() -> None:
    scenario = given(TABLE)
    numbers = []
    for year in (2026, 2026, 2027):
        id = f"o{len(numbers)}"
        scenario.when(placed(id=id))
        at = datetime(year, 12, 31, 23, 59, tzinfo=UTC)
        numbers += documents(scenario.when(confirmed(id), at=at))
    assert [d.number for d in numbers] == ["SO-2026-000001", "SO-2026-000002", "SO-2027-000001"]
    assert [d.position for d in numbers] == [1, 2, 3]
    given_ones = [e for e in scenario.log["erpbook-all"] if isinstance(e, NumberGiven)]
    assert [e.ordinal for e in given_ones] == [1, 2, 1]


def test_a_readers_cursor_moves_as_it_says() -> None:
    scenario = given(TABLE).when(placed()).when(confirmed())

    def moved(position: int, reason: str = "") -> CursorMoved:
        return CursorMoved(cursor="sap", position=position, actor="", reason=reason)

    scenario.when(AcknowledgeDocuments(cursor="sap", position=2)).rejected("position_unknown")
    scenario.when(AcknowledgeDocuments(cursor="sap", position=1)).then(moved(1))
    scenario.when(AcknowledgeDocuments(cursor="sap", position=0)).nothing()
    scenario.when(RewindDocuments(cursor="sap", position=0, reason="lost")).then(moved(0, "lost"))
    scenario.when(RewindDocuments(cursor="sap", position=9, reason="x")).rejected(
        "position_unknown"
    )


def test_an_order_from_before_the_feed_gets_no_documents() -> None:
    for event in (
        confirmed(),
        packed("o1.f1.p1", 5, some("1", 1)),
        shipped("o1.f1.p1", some("1", 1)),
    ):
        given(TABLE).when(event).nothing()


AMOUNTS = st.integers(0, 10**6)


@st.composite
def orders(draw: Any) -> o.OrderPlaced:
    lines = tuple(
        OrderLine(line_id=str(n), sku=f"S{n}", quantity=q, unit_price=total // q, total=total)
        for n, (q, total) in enumerate(
            draw(st.lists(st.tuples(st.integers(1, 9), AMOUNTS), min_size=1, max_size=5))
        )
    )
    kinds = st.sampled_from(["shipping", "tax", "fee"])
    charges = [
        Charge(kind=kind, amount=amount)
        for kind, amount in draw(st.lists(st.tuples(kinds, AMOUNTS), max_size=3))
    ]
    most = order_total(lines, charges)
    discount = draw(st.integers(0, most))
    at = draw(st.integers(0, len(charges)))
    charges.insert(at, Charge(kind="discount", amount=discount))
    return placed(lines, tuple(charges))


@forall(orders(), st.randoms(use_true_random=False))
def test_whatever_the_packages_their_parts_add_up(order: o.OrderPlaced, random: Any) -> None:
    every = [x for x in order.lines for _ in range(x.quantity)]
    random.shuffle(every)
    payable, _ = shares(order.lines, order.charges)
    pays = {x.line_id: (p, x.quantity) for x, p in zip(order.lines, payable, strict=True)}
    before: dict[str, int] = {}
    found = []
    while every:
        taken = [every.pop() for _ in range(random.randint(1, len(every)))]
        package = [LineQuantity(line_id=x.line_id, sku=x.sku, quantity=1) for x in taken]
        share = allocate(order, before, package)
        charged = 0
        for x in package:
            charged += units(*pays[x.line_id], before.get(x.line_id, 0), 1)
            before[x.line_id] = before.get(x.line_id, 0) + 1
        assert share.total == charged
        found.append(share)
    assert sum(s.total for s in found) == order.total
    for line in order.lines:
        goods = [x.amount for s in found for x in s.lines if x.line_id == line.line_id]
        assert sum(goods) == line.total
    listed = sorted(order.charges, key=lambda c: c.kind == "discount")
    for n, charge in enumerate(listed):
        sign = -1 if charge.kind == "discount" else 1
        assert sum(s.charges[n].amount for s in found) == sign * charge.amount
