"""A day on which everything goes wrong that seldom does: brought about from outside, over topics and HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec

from ops.demo.catalogue import AUTOMATIC, EXTERNAL
from ops.demo.outside import OutsideProducer
from ops.stack.ports import HOST
from ops.system import Layout
from ops.system.keys import ensure_keys
from shared.events import Address, Command, Customer, Event, LineQuantity, OrderLine, StockLine
from shared.events import fulfillment as f
from shared.events import inventory as i
from shared.events import notifications as n
from shared.events import order as o
from shared.events import returns as r
from shared.events import wms as w
from tests.integration.demo.command import oms
from tests.journey.overhear import Overheard, overhearing
from tests.ledgerkit import until

SKU = "TROUBLE"  # sent by itself, from the automatic location
KEPT = "KEPT"  # on a shelf where nobody picks
AFAR = "AFAR"  # in an external warehouse
#: So short that a slow payment outlives it; and returns that are never agreed to by rule.
SETTINGS = {
    "OMS_HOLD_SECONDS": "3",
    "OMS_RETURN_WINDOW_DAYS": "0",
    "OMS_WEBHOOK_KEY": "trouble-" * 5,
}


def trouble(folder: Path, base: int) -> Overheard:
    """Bring a system up, live the day through, and take the system down again."""
    data = folder / "data"
    with overhearing(base, folder / "reads") as heard:
        environment = heard.environment | SETTINGS
        up = ("up", "--detach", "--data", str(data), "--port-base", str(base))
        told = oms(*up, environment=environment, timeout_s=400)
        assert told.returncode == 0, told.stderr
        try:
            asyncio.run(_Day(heard, Layout(data, base)).live())
        finally:
            oms("down", "--data", str(data), environment=environment)
    return heard


class _Day:
    def __init__(self, heard: Overheard, layout: Layout) -> None:
        self._heard = heard
        self._layout = layout

    async def live(self) -> None:
        with _gone() as url:
            await self._endpoints(url)
            async with OutsideProducer(self._heard.bootstrap, "/outside") as outside:
                self._outside = outside
                await self._send(
                    i.RegisterItem(sku=SKU),
                    i.ReceiveStock(movement_id="m-1", lines=(_stock(SKU, 100),)),
                    i.ReceiveStock(movement_id="m-2", lines=(_stock(KEPT, 100, "shelf"),)),
                    i.ReceiveStock(movement_id="m-4", lines=(_stock(AFAR, 100, EXTERNAL),)),
                )
                for sku in (SKU, KEPT, AFAR):  # movements have no order among themselves
                    await self._until(i.StockReceived, sku=sku)
                await self._send(
                    i.AdjustStock(movement_id="m-3", lines=(_stock(SKU, -1),), reason="count")
                )
                await self._until(i.StockAdjusted)
                await self._send(
                    self._order("good"),
                    self._order("slow", "tok_slow:5000"),
                    self._order("uncaptured", "tok_capture_refused"),
                    self._order("unrefunded", "tok_refund_refused"),
                    i.CommitReservation(reservation_id="unheard-of", order_id="x", lines=()),
                )
                await self._until(i.CommitRefused)
                await self._cancelled_in_the_warehouse()
                await self._an_unwilling_warehouse()
                await self._holds()
                await self._too_late()
                await self._returns()
                await self._until(o.ReservationLost)
            await self._until(n.EndpointDisabled)

    async def _endpoints(self, url: str) -> None:
        async with self._client("notifications", "ops") as http:
            for name in ("gone", "removed"):
                body = {"endpoint_id": name, "url": url, "types": [o.OrderPlaced.tag()]}
                answer = await http.post("/endpoints", json=body, headers={"Idempotency-Key": name})
                assert answer.status_code == 201, answer.text
            assert (await http.delete("/endpoints/removed")).status_code == 204

    async def _cancelled_in_the_warehouse(self) -> None:
        await self._send(self._order("cancelled", sku=KEPT))
        await self._until(f.FulfillmentOpened, order_id=_id("cancelled"))
        await self._send(o.RequestCancellation(channel="web", external_id="cancelled"))
        await self._until(o.FulfillmentStopped)
        await self._until(o.OrderCancelled)

    async def _an_unwilling_warehouse(self) -> None:
        await self._send(self._order("no-room", sku=AFAR))
        asked = await self._until(w.FulfillmentSubmitted, order_id=_id("no-room"))
        await self._send(w.ReportRejected(**_of(asked), reason="no room"))
        for name in ("on-the-truck", "on-the-shelf"):
            await self._send(self._order(name, sku=AFAR))
            await self._until(w.FulfillmentSubmitted, order_id=_id(name))
            await self._send(o.RequestCancellation(channel="web", external_id=name))
            asked = await self._until(w.WmsCancellationRequested, order_id=_id(name))
            answer = (
                w.ReportCancellationRejected(**_of(asked), reason="on the truck")
                if name == "on-the-truck"
                else w.ReportCancellationAccepted(**_of(asked))
            )
            await self._send(answer)
        for name in ("no-room", "on-the-truck", "on-the-shelf"):
            await self._until(o.OrderCancelled, order_id=_id(name))

    async def _holds(self) -> None:
        hold = await self._until(o.HoldPlaced)
        await self._send(o.ReleaseHold(order_id=hold["order_id"], hold_id=hold["hold_id"]))
        await self._until(o.HoldReleased)

    async def _too_late(self) -> None:
        for name in ("good", "unrefunded"):
            await self._until(o.OrderCompleted, order_id=_id(name))
        sent = await self._until(f.Shipped, order_id=_id("good"))
        await self._send(
            o.CancelOrder(order_id=_id("good"), reason="changed my mind"),
            f.CancelFulfillment(
                fulfillment_id=sent["fulfillment_id"], order_id=_id("good"), reason="too late"
            ),
        )
        await self._until(o.CancellationRefused)
        await self._until(f.FulfillmentCancellationRefused)

    async def _returns(self) -> None:
        good, unrefunded = _id("good"), _id("unrefunded")
        await self._until_returnable(good, unrefunded)
        for name, order in (("declined", good), ("cancelled", good), ("refused", unrefunded)):
            line = r.ReturnLine(line_id="1", sku=SKU, quantity=1, reason="too small")
            await self._send(r.RequestReturn(return_id=name, order_id=order, lines=(line,)))
        about: dict[str, Any] = {"return_id": "refused", "order_id": unrefunded}
        units = (LineQuantity(line_id="1", sku=SKU, quantity=1),)
        judged = r.InspectedLine(line_id="1", sku=SKU, quantity=1, disposition="scrap")
        await self._send(
            r.DeclineReturn(return_id="declined", order_id=good, reason="worn"),
            r.CancelReturn(return_id="cancelled", order_id=good),
            r.ApproveReturn(**about),
            r.ReceiveReturn(**about, receipt_id="1", location=AUTOMATIC, lines=units),
            r.InspectReturn(**about, lines=(judged,)),
        )
        await self._until(r.ReturnDeclined)
        await self._until(r.ReturnCancelled)
        await self._until(o.RefundFailed)

    async def _until_returnable(self, *orders: str) -> None:
        """The returns service hears of shipments on another topic than of returns."""
        async with self._client("returns", "agent") as http:

            async def known() -> bool:
                answers = [await http.get(f"/orders/{order}/returnable") for order in orders]
                return all(answer.status_code == 200 for answer in answers)

            await until(known, 180)

    def _client(self, service: str, role: str) -> httpx.AsyncClient:
        keys = ensure_keys(self._layout.data, self._layout.services)
        return httpx.AsyncClient(
            base_url=self._layout.url(service), headers=keys.bearer(service, role), timeout=60
        )

    def _order(self, name: str, method: str = "tok_ok", sku: str = SKU) -> o.PlaceOrder:
        line = OrderLine(line_id="1", sku=sku, quantity=2, unit_price=500, total=1000)
        return o.PlaceOrder(
            channel="web",
            external_id=name,
            currency="EUR",
            lines=(line,),
            customer=Customer(name="A. Shopper", email="nobody at all"),
            ship_to=Address(country="DE"),
            payment_method=method,
        )

    async def _send(self, *commands: Command) -> None:
        for command in commands:
            await self._outside.send(command)
        await self._outside.flush()

    async def _until(self, event: type[Event], **fields: str) -> dict[str, Any]:
        """The payload of the first event of a type with these fields."""
        tag = event.tag().encode()
        found = await asyncio.to_thread(
            self._heard.wait_for,
            lambda record: (
                dict(record.headers)["ce_type"] == tag
                and fields.items() <= msgspec.json.decode(record.value).items()
            ),
        )
        return msgspec.json.decode(found.value, type=dict[str, Any])


def _id(name: str) -> str:
    return o.order_id_for("web", name)


def _of(asked: dict[str, Any]) -> dict[str, str]:
    return {name: asked[name] for name in ("fulfillment_id", "order_id")}


def _stock(sku: str, quantity: int, location: str = AUTOMATIC) -> StockLine:
    return StockLine(sku=sku, location=location, quantity=quantity)


@contextmanager
def _gone() -> Iterator[str]:
    """A webhook endpoint that says that it is gone for good."""

    class Gone(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(410)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing to standard error."""

    server = HTTPServer((HOST, 0), Gone)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        yield f"http://{HOST}:{server.server_port}/hook"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
