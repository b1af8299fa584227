"""Planted corruptions: each is found, under its invariant, and named with the place where it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

import msgspec
import pytest

from ops.reconcile.mail import Mail
from shared.events import encode
from shared.ledger.store import Meta, Snapshot
from tests.evidence import Evidence
from tests.unit.reconcile.conftest import Tamper

Ids = dict[str, str]

#: The invariant that must be named, the service, a part of the stream's or the event's id, a part of the message.
Found = tuple[int, str, str, str]


class Case(NamedTuple):
    name: str
    tamper: Tamper
    found: Found


CASES: list[Case] = []


def case(invariant: int, service: str, where: str, why: str) -> Callable[[Tamper], Tamper]:
    def add(tamper: Tamper) -> Tamper:
        CASES.append(Case(tamper.__name__, tamper, (invariant, service, where, why)))
        return tamper

    return add


# Invariant 1


@case(1, "inventory", "stock-TEA", "oversold")
def received_fewer(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.edit(log.find("oms.inventory.received.v1", sku="TEA"), lambda m: m.update(quantity=2))


@case(1, "inventory", "stock-TEA", "less than nothing")
def shipped_more_than_allocated(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.units_shipped.v1", sku="TEA")
    log.edit(row, lambda m: m["units"][0].update(quantity=9))


@case(1, "inventory", "reservation-", "the stock streams say 0")
def a_movement_deleted(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.delete(log.find("oms.inventory.units_allocated.v1", sku="MUG"))


@case(1, "inventory", "stock-TEA", "recorded 50 units")
def a_receipt_that_no_movement_recorded(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.edit(log.find("oms.inventory.received.v1", sku="TEA"), lambda m: m.update(quantity=60))


@case(1, "inventory", "stock-POT", "did not stand in it")
def left_a_line_it_did_not_stand_in(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.backorder_left.v1", sku="POT")
    log.edit(row, lambda m: m.update(quantity=2))


@case(1, "inventory", "movement-", "was counted again")
def a_movement_counted_again(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.movement_recorded.v1")
    log.add(row, version=(row.version or 0) + 1)


# Invariant 2


@case(2, "order", "order-", "the order is completed, but")
def a_completed_order_still_holds_stock(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.delete(log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"]))


@case(2, "inventory", "reservation-", "after the reservation ended by ReservationConsumed")
def a_reservation_ended_twice(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"])
    log.add(row, version=(row.version or 0) + 1)


@case(2, "inventory", "reservation-", "of which 2 are open")
def consumed_more_than_open(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m["allocations"][0].update(quantity=7))


@case(2, "inventory", "reservation-", "ReservationCommitted of a reservation that is new")
def committed_before_held(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    stream = f"reservation-{ids['plain']}.1"
    held, committed = log.at(stream, 1), log.at(stream, 2)
    log.change(held, version=2)
    log.change(committed, version=1)


# Invariant 3


@case(3, "order", "order-", "still holds 1 units")
def a_cancelled_order_holds_stock(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.delete(log.find("oms.inventory.reservation_released.v1", order_id=ids["cancelled"]))


@case(3, "order", "order-", "keeps 500 minor units")
def a_cancelled_order_keeps_money(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    captured = log.find("oms.order.payment_captured.v1", order_id=ids["plain"])
    message = msgspec.json.decode(captured.data)
    payment = f"{ids['cancelled']}.pay1"
    message.update(order_id=ids["cancelled"], payment_id=payment, capture_id="x", package_id="")
    message["amount"]["amount"] = 500
    voided = log.find("oms.order.payment_voided.v1", order_id=ids["cancelled"])
    log.change(voided, type=captured.type, data=encode(message))


# Invariant 4


@case(4, "order", "order-", "captured,")
def captured_more_than_authorised(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.payment_authorised.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m["amount"].update(amount=1))


@case(4, "order", "order-", "was taken before")
def one_capture_id_twice(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    rows = [r for r in log.messages if r.type == "oms.order.payment_captured.v1"]
    first, second = [r for r in rows if r.key == ids["charged"]][:2]
    capture = msgspec.json.decode(first.data)["capture_id"]
    log.edit(second, lambda m: m.update(capture_id=capture))


@case(4, "payments", "auth_", "no event of ours says so")
def the_provider_moved_money_that_we_do_not_know(e: Evidence, ids: Ids) -> None:
    assert e.ledger is not None
    known = next(x for x in e.ledger if x.kind == "captured")
    e.ledger.append(known._replace(entry=len(e.ledger) + 1, key="stray:capture", amount=1))


@case(4, "payments", "auth_", "no event of ours says so")
def the_provider_charged_somebody_unknown(e: Evidence, ids: Ids) -> None:
    assert e.ledger is not None
    known = next(x for x in e.ledger if x.kind == "authorised")
    e.ledger.append(known._replace(entry=len(e.ledger) + 1, key="k", payment_id="nobody.pay1"))


@case(4, "order", "order-", "the provider's ledger has no entry")
def the_provider_has_no_such_refund(e: Evidence, ids: Ids) -> None:
    assert e.ledger is not None
    e.ledger[:] = [x for x in e.ledger if x.kind != "refunded"]


@case(4, "order", "order-", "amount: we say")
def the_provider_took_another_amount(e: Evidence, ids: Ids) -> None:
    assert e.ledger is not None
    n = next(n for n, x in enumerate(e.ledger) if x.kind == "captured")
    e.ledger[n] = e.ledger[n]._replace(amount=e.ledger[n].amount + 1)


@case(4, "order", "order-", "we say 'declined', the provider says 'authorised'")
def the_provider_did_authorise(e: Evidence, ids: Ids) -> None:
    assert e.ledger is not None
    n = next(n for n, x in enumerate(e.ledger) if x.kind == "declined")
    e.ledger[n] = e.ledger[n]._replace(kind="authorised")


# Invariant 5


@case(5, "order", "order-", "add up to")
def a_total_that_does_not_add_up(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.placed.v1", order_id=ids["charged"])
    log.edit(row, lambda m: m.update(total=m["total"] - 1))


@case(5, "order", "order-", "EUR in an order of GBP")
def a_capture_in_another_currency(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.payment_captured.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m["amount"].update(currency="EUR"))


@case(5, "order", "order-", "its units' share is")
def a_package_that_costs_a_penny_more(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.packed.v1", order_id=ids["charged"])
    log.edit(row, lambda m: m["capture"].update(amount=m["capture"]["amount"] + 1))


@case(5, "order", "order-", "its units' share is")
def a_refund_of_a_penny_more(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.return_accepted.v1", order_id=ids["charged"])
    log.edit(row, lambda m: m["refund"].update(amount=m["refund"]["amount"] + 1))


# Invariant 6


@case(6, "order", "order-", "left before")
def a_package_that_left_twice(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.shipped.v1", order_id=ids["plain"])
    last = max(r.version or 0 for r in log.messages if r.stream == row.stream)
    log.add(row, version=last + 1)


@case(6, "order", "order-", "before the payment was authorised")
def shipped_before_authorisation(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    paid = log.find("oms.order.payment_authorised.v1", order_id=ids["plain"])
    left = log.find("oms.order.shipped.v1", order_id=ids["plain"])
    log.change(paid, version=left.version)
    log.change(left, version=paid.version)


@case(6, "order", "order-", "are shipped, 2 were left of it")
def shipped_more_than_ordered(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.shipped.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m["lines"][0].update(quantity=3))


@case(6, "order", "order-", "after the order ended")
def shipped_after_cancellation(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    left = log.find("oms.order.shipped.v1", order_id=ids["plain"])
    ended = log.find("oms.order.cancelled.v1", order_id=ids["cancelled"])
    message = msgspec.json.decode(left.data) | {"order_id": ids["cancelled"]}
    version = (ended.version or 0) + 1
    log.add(ended, version=version, type=left.type, data=encode(message))


@case(6, "fulfillment", "fulfillment-", "does not know it")
def the_order_does_not_know_a_shipment(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.delete(log.find("oms.order.shipped.v1", order_id=ids["plain"]))


@case(6, "order", "order-", "no warehouse says so")
def no_warehouse_sent_it(e: Evidence, ids: Ids) -> None:
    log = e["fulfillment"]
    log.delete(log.find("oms.fulfillment.shipped.v1", order_id=ids["plain"]))


@case(6, "fulfillment", "fulfillment-", "was packed, not released")
def left_without_release(e: Evidence, ids: Ids) -> None:
    log = e["fulfillment"]
    log.delete(log.find("oms.fulfillment.package_released.v1", order_id=ids["plain"]))


@case(6, "order", "order-", "was not cancelled")
def a_warehouse_works_on_a_cancelled_order(e: Evidence, ids: Ids) -> None:
    log = e["fulfillment"]
    log.delete(log.find("oms.fulfillment.cancelled.v1", order_id=ids["nothing"]))


# Invariant 7


@case(7, "returns", "return-", "units received of this return")
def more_came_back_than_was_sent(e: Evidence, ids: Ids) -> None:
    log = e["returns"]
    row = log.find("oms.returns.received.v1", order_id=ids["charged"])
    log.edit(row, lambda m: m["lines"][0].update(quantity=50))


@case(7, "inventory", "stock-TEA", "were fit for it")
def more_was_restocked_than_came_back(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.edit(log.find("oms.inventory.restocked.v1", sku="TEA"), lambda m: m.update(quantity=9))


@case(7, "order", "order-", "nobody granted it")
def a_refund_without_a_cause(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.refund_issued.v1", order_id=ids["charged"])
    log.edit(row, lambda m: m.update(refund_id="stray"))


@case(7, "order", "order-", "nobody inspected it")
def a_refund_for_goods_nobody_saw(e: Evidence, ids: Ids) -> None:
    log = e["returns"]
    log.delete(log.find("oms.returns.inspected.v1", order_id=ids["charged"]))


# Invariant 8


@case(8, "order", "order-", "is missing")
def an_event_deleted(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.delete(log.at(f"order-{ids['plain']}", 3))


@case(8, "order", "order-", "its snapshot does not")
def the_last_event_deleted(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.delete(log.find("oms.order.completed.v1", order_id=ids["plain"]))


@case(8, "order", "order-", "there is no such event")
def a_whole_stream_deleted(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.delete(*[r for r in log.messages if r.stream == f"order-{ids['plain']}"])


@case(8, "order", "order-", "the snapshot is not the fold of its events: fingerprint")
def an_event_edited(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.placed.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m["ship_to"].update(line1="1 Thief Street"))


@case(8, "inventory", "stock-MUG", "the snapshot is not the fold")
def a_snapshot_edited(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    kept: Snapshot = log.snapshots["stock-MUG"]
    state = msgspec.msgpack.decode(kept.state)
    state[2]["EAST"][0] += 100
    log.snapshots["stock-MUG"] = kept._replace(state=msgspec.msgpack.encode(state))


@case(8, "inventory", "stock-MUG", "guard")
def a_guard_edited(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.snapshots["stock-MUG"] = log.snapshots["stock-MUG"]._replace(guard=7)


@case(8, "order", "order-", "stands twice")
def a_version_twice(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.add(log.at(f"order-{ids['plain']}", 4))


@case(8, "order", "order-", "messages have this id")
def an_id_twice(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.add(log.at(f"order-{ids['plain']}", 4))


@case(8, "order", "order-", "the message says")
def an_event_moved_to_another_stream(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.at(f"order-{ids['plain']}", 9)
    log.change(row, stream=f"order-{ids['free']}", version=8)


@case(8, "order", "order-", "Expected `str`")
def bytes_that_are_no_event(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.edit(log.at(f"order-{ids['plain']}", 1), lambda m: m.update(channel=4))


@case(8, "order", "order-", "is not after")
def published_in_another_order(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    one, two = log.at(f"order-{ids['plain']}", 3), log.at(f"order-{ids['plain']}", 4)
    log.change(one, position=two.position)
    log.change(two, position=one.position)


@case(8, "inventory", "", "position 5 follows 3: 1 are missing")
def a_hole_in_the_log(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.delete(log.messages[3])


@case(8, "inventory", "", "it says that position 9 is before it on oms.inventory.events")
def the_chain_edited(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.received.v1")
    log.previous[row.position] = 9


@case(8, "inventory", "head", "the log ends at")
def the_end_of_the_log_cut_off(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.delete(max(log.messages, key=lambda row: row.position))


@case(8, "inventory", "", "it says that position none is before it")
def a_message_that_nobody_was_told_of(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.previous[log.find("oms.inventory.received.v1").position] = None


@case(8, "inventory", "stock-TEA", "for it is private, but none is")
def a_private_message_published(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.previous[log.find("oms.inventory.units_reserved.v1", sku="TEA").position] = 1


def _caused_by(e: Evidence, service: str, tag: str, cause: str, order: str) -> None:
    log = e[service]
    row = log.find(tag, order_id=order)
    meta = msgspec.structs.replace(msgspec.json.decode(row.meta, type=Meta), causation=cause)
    log.change(row, meta=encode(meta))


@case(8, "order", "order-", "is in no log")
def a_cause_that_does_not_exist(e: Evidence, ids: Ids) -> None:
    cause = "reservation-none.1/1"
    _caused_by(e, "order", "oms.order.reserved.v1", cause, ids["plain"])


@case(8, "inventory", "reservation-", "the command shop-message")
def a_command_deleted(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.delete(log.find("oms.inventory.reserve.v1", order_id=ids["plain"]))


@case(8, "order", "order-", "which no event asked for")
def an_answer_that_nobody_asked_for(e: Evidence, ids: Ids) -> None:
    cause = "effect:nothing.c1:capture"
    _caused_by(e, "order", "oms.order.payment_captured.v1", cause, ids["plain"])


@case(8, "order", "order-", "names no cause")
def no_cause_at_all(e: Evidence, ids: Ids) -> None:
    _caused_by(e, "order", "oms.order.reserved.v1", "", ids["plain"])


@case(8, "order", "order-", "has no events")
def a_timer_of_nothing(e: Evidence, ids: Ids) -> None:
    cause = "timer:order-none:deadline:2026-01-05T09:00:00+00:00"
    _caused_by(e, "order", "oms.order.reserved.v1", cause, ids["plain"])


@case(8, "fulfillment", "fulfillment-", "among its own causes")
def a_cycle(e: Evidence, ids: Ids) -> None:
    order = ids["plain"]
    _caused_by(e, "order", "oms.order.packed.v1", f"fulfillment-{order}.f1/6", order)
    shipped = e["fulfillment"].find("oms.fulfillment.shipped.v1", order_id=order)
    delivered = f"order-{order}/{e['order'].find('oms.order.packed.v1', order_id=order).version}"
    meta = msgspec.json.decode(shipped.meta, type=Meta)
    cyclic = encode(msgspec.structs.replace(meta, causation=delivered))
    e["fulfillment"].change(shipped, meta=cyclic)


@case(8, "order", "order-", "was written after it")
def caused_by_what_came_later(e: Evidence, ids: Ids) -> None:
    cause = f"order-{ids['plain']}/9"
    _caused_by(e, "order", "oms.order.reserved.v1", cause, ids["plain"])


# Invariant 9


@case(9, "order", "checkpoint oms.inventory.events", "ends at")
def a_checkpoint_ahead_of_its_producer(e: Evidence, ids: Ids) -> None:
    e["order"].cut.marks["oms.inventory.events", 0] = 10**6


@case(9, "order", "order-", "was applied 2 times, 40.0 ms apart")
def a_message_applied_twice(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.delivered.v1", order_id=ids["plain"])
    last = max(r.version or 0 for r in log.messages if r.stream == row.stream)
    log.add(row, version=last + 1, at=row.at + timedelta(milliseconds=40))


@case(9, "inventory", "reservation-", "2 times ReservationConsumed")
def a_package_consumed_twice(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    row = log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"])
    log.add(row, version=(row.version or 0) + 1)


@case(9, "order", "reservation-", "inventory has handled this ConsumeReservation")
def a_command_handled_without_outcome(e: Evidence, ids: Ids) -> None:
    log = e["inventory"]
    log.delete(log.find("oms.inventory.reservation_consumed.v1", order_id=ids["plain"]))


@case(9, "order", "order-", "returns has handled this OrderShipped")
def returns_forgot_a_shipment(e: Evidence, ids: Ids) -> None:
    log = e["returns"]
    log.delete(log.find("oms.returns.items_returnable.v1", order_id=ids["plain"]))


@case(9, "order", "order-", "its allocations are not those of")
def the_order_understood_something_else(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.reserved.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m["allocations"][0].update(location="WEST"))


@case(9, "order", "order-", "was handled after position")
def handled_out_of_order(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    log.change(log.find("oms.order.delivered.v1", order_id=ids["plain"]), position=0)


@case(9, "notifications", "endpoints-all", "2 events ask for calls")
def a_webhook_queued_twice(e: Evidence, ids: Ids) -> None:
    log = e["notifications"]
    row = log.find("oms.notifications.webhook_queued.v1")
    last = max(r.version or 0 for r in log.messages if r.stream == row.stream)
    log.add(row, version=last + 1)


@case(9, "notifications", "correspondence-", "was asked for before")
def a_mail_asked_for_twice(e: Evidence, ids: Ids) -> None:
    log = e["notifications"]
    row = log.find("oms.notifications.requested.v1", order_id=ids["plain"])
    last = max(r.version or 0 for r in log.messages if r.stream == row.stream)
    log.add(row, version=last + 1)


@case(9, "notifications", "correspondence-", "the sink never got it")
def a_mail_that_never_arrived(e: Evidence, ids: Ids) -> None:
    assert e.mails is not None
    e.mails.pop()


@case(9, "sink", "mail", "which no event asked for")
def a_mail_that_nobody_asked_for(e: Evidence, ids: Ids) -> None:
    assert e.mails is not None
    e.mails.append(Mail("spam@oms.local", "a@example.com", 1, e.mails[0].at))


@case(9, "order", "order-", "has no order_confirmed for it")
def a_mail_that_was_never_asked_for(e: Evidence, ids: Ids) -> None:
    log = e["notifications"]
    row = log.find("oms.notifications.requested.v1", order_id=ids["plain"])
    log.delete(row)


# Invariant 12


@case(12, "views", "order ", "order.status is 'returned'")
def a_document_edited(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    rows = e.views.documents
    n = next(n for n, row in enumerate(rows) if row.id == ids["plain"])
    document = msgspec.msgpack.decode(rows[n].document)
    document[3][0] = "returned"
    rows[n] = rows[n]._replace(document=msgspec.msgpack.encode(document))


@case(12, "views", "order ", "the row's columns")
def a_column_edited(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    e.views.documents[0] = e.views.documents[0]._replace(channel="thief")


@case(12, "views", "order ", "the view has no document")
def a_document_deleted(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    e.views.documents.pop()


@case(12, "views", "order ", "the logs do not")
def a_document_of_nothing(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    e.views.documents.append(e.views.documents[0]._replace(id="nothing"))


@case(12, "order", "order-", "the timeline holds other bytes")
def an_event_edited_that_no_state_keeps(e: Evidence, ids: Ids) -> None:
    log = e["order"]
    row = log.find("oms.order.packed.v1", order_id=ids["plain"])
    log.edit(row, lambda m: m.update(fulfillment_id="another"))


@case(12, "order", "order-", "its timeline does not show it")
def a_timeline_row_deleted(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    told = e.views.told
    told.remove(next(x for x in told if x.type == "oms.order.packed.v1"))


@case(12, "order", "timeline", "where the log has no such event")
def a_timeline_row_of_nothing(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    row = next(x for x in e.views.told if x.type == "oms.order.packed.v1")
    e.views.told.append(row._replace(position=10**6))


@case(12, "order", "order-", "2 times in the timeline")
def a_timeline_row_twice(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    e.views.told.append(next(x for x in e.views.told if x.type == "oms.order.packed.v1"))


@case(12, "views", "availability TEA at EAST", "the events add up to")
def availability_edited(e: Evidence, ids: Ids) -> None:
    assert e.views is not None
    e.views.units["TEA", "EAST"][0] += 1


@pytest.mark.parametrize("planted", CASES, ids=[c.name for c in CASES])
def test_a_planted_corruption_is_found_and_named(
    planted: Case, evidence: Evidence, ids: Ids
) -> None:
    planted.tamper(evidence, ids)
    report = evidence.judge()
    assert not report.clean
    invariant, service, where, why = planted.found
    named = [
        v
        for v in report.violations
        if (v.invariant, v.service) == (invariant, service)
        and where in f"{v.stream} {v.event_id}"
        and why in v.message
    ]
    assert named, "\n".join(map(str, report.violations))


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
    assert {c.found[0] for c in CASES} == {1, 2, 3, 4, 5, 6, 7, 8, 9, 12}
