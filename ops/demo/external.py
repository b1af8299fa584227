"""A warehouse system of somebody else's: it hears `oms.wms.requests` and answers on `oms.wms.answers` (docs/wms.md)."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from ops.demo import stories
from ops.demo.outside import OutsideProducer
from ops.demo.plan import Planned
from ops.demo.warehouse import (
    COLLECT_S,
    DRIVE_S,
    PACK_S,
    PICK_S,
    SECOND_PARCEL_S,
    WALK_S,
    Lines,
    consignment,
    halves,
    one_less,
)
from shared.events import Event
from shared.events import wms as w


@dataclass
class ExternalWarehouse:
    """Accepts whatever is submitted, and works on it until its parcels have arrived or it is told to stop. Parcels of an
    earlier run, of which it knows nothing, it leaves where they are."""

    producer: OutsideProducer
    planned: Callable[[str], Planned | None]
    start: Callable[[Coroutine[Any, Any, None]], None]
    _parcels: dict[tuple[str, str], Lines] = field(default_factory=dict)
    _cleared: set[str] = field(default_factory=set)
    _stopped: set[str] = field(default_factory=set)

    def hear(self, event: Event) -> None:
        """React to a request."""
        match event:
            case w.FulfillmentSubmitted():
                self.start(self._pick_and_pack(event))
            case w.PackageCleared() if (event.fulfillment_id, event.package) in self._parcels:
                self._cleared.add(event.fulfillment_id)
                self.start(self._send_off(event))
            case w.WmsCancellationRequested():
                self.start(self._stop(event))

    async def _pick_and_pack(self, asked: w.FulfillmentSubmitted) -> None:
        ids, planned = _ids(asked), self.planned(asked.order_id)
        pace = planned.pace if planned else 1.0
        story = planned.story if planned else stories.STRAIGHT
        await asyncio.sleep(WALK_S * pace)
        await self.producer.send(w.ReportAccepted(**ids, reference=f"W-{asked.fulfillment_id[:8]}"))
        await asyncio.sleep(PICK_S * pace)
        if asked.fulfillment_id in self._stopped:
            return
        short = story is stories.SHORT
        found = one_less(asked.lines) if short else asked.lines
        why = "not on the shelf" if short else ""
        await self.producer.send(w.ReportPicked(**ids, pick_id="1", lines=found, short_reason=why))
        parcels = halves(found) if story is stories.PARCELS else [found]
        for n, lines in enumerate(parcels, 1):
            await asyncio.sleep((PACK_S if n == 1 else SECOND_PARCEL_S) * pace)
            if not lines or asked.fulfillment_id in self._stopped:
                return
            self._parcels[asked.fulfillment_id, f"P{n}"] = lines
            await self.producer.send(w.ReportPacked(**ids, package=f"P{n}", lines=lines))

    async def _send_off(self, cleared: w.PackageCleared) -> None:
        ids, planned = _ids(cleared), self.planned(cleared.order_id)
        pace = planned.pace if planned else 1.0
        carrier, number = consignment(f"{cleared.fulfillment_id}.{cleared.package}")
        await asyncio.sleep(COLLECT_S * pace)
        await self.producer.send(
            w.ReportShipped(
                **ids,
                package=cleared.package,
                carrier=carrier,
                tracking_number=number,
                lines=self._parcels[cleared.fulfillment_id, cleared.package],
            )
        )
        await asyncio.sleep(DRIVE_S * pace)
        await self.producer.send(w.ReportDelivered(**ids, package=cleared.package))

    async def _stop(self, asked: w.WmsCancellationRequested) -> None:
        if asked.fulfillment_id in self._cleared:
            gone = w.ReportCancellationRejected(**_ids(asked), reason="handed to the carrier")
            await self.producer.send(gone)
            return
        self._stopped.add(asked.fulfillment_id)
        await self.producer.send(w.ReportCancellationAccepted(**_ids(asked)))


def _ids(asked: w.WmsRequest) -> dict[str, Any]:
    return {"fulfillment_id": asked.fulfillment_id, "order_id": asked.order_id}
