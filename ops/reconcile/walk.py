"""One walk over all the logs, side by side in the order of their keys: an order's whole story is in hand at once."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import groupby

import msgspec

from ops.reconcile import (
    causes,
    chain,
    handled,
    mail,
    money,
    reservations,
    returning,
    shipping,
    stock,
    totals,
    views,
    wms,
)
from ops.reconcile.log import Cuts, Dossier, Entry, Row, ServiceLog, ViewsLog
from ops.reconcile.money import Money, Provider
from ops.reconcile.report import Check, Tally
from ops.reconcile.reservations import Reservation
from ops.reconcile.spool import Spool
from ops.reconcile.tables import table_of
from shared.events import BadPayload, UnknownType
from shared.ledger.store import Meta

CHECKS: tuple[Check, ...] = (
    *stock.CHECKS,
    *reservations.CHECKS,
    *money.CHECKS,
    *totals.CHECKS,
    *shipping.CHECKS,
    *wms.CHECKS,
    *returning.CHECKS,
    *chain.CHECKS,
    *causes.CHECKS,
    *handled.CHECKS,
    *mail.CHECKS,
    *views.CHECKS,
)

#: Streams that are followed event by event, and never held as a whole: a popular SKU's has no bound.
LONG_STREAMS = ("stock", "endpoints", "webhook")
PROGRESS_EVERY = 2_000

#: Told how many messages have been read.
Progress = Callable[[int], None]

_meta = msgspec.json.Decoder(Meta)


class Walk:
    """Walks the logs once; what can only be compared across keys goes to the spool."""

    def __init__(
        self, logs: list[ServiceLog], viewed: ViewsLog | None, spool: Spool, tally: Tally
    ) -> None:
        self._logs = logs
        self._spool = spool
        self._tally = tally
        cuts = {log.service: log.cut for log in logs}
        if viewed is not None:
            cuts["views"] = viewed.cut
        self.cuts = Cuts(cuts)
        self._readers = {log.service: _Reader(log.service, spool, tally) for log in logs}
        self._stock = stock.Stock(spool, tally)
        self._views = views.Views(viewed, self.cuts, spool, tally) if viewed is not None else None
        self._pending_restocks: set[str] = set()
        self.provider: Provider | None = None
        self.sink = False

    def run(self, progress: Progress) -> None:
        """Everything. Raises `CannotRead` when a database goes away meanwhile."""
        handled.check_checkpoints(self.cuts, self._tally)
        for log in self._logs:
            chain.check_feed(log, self._tally)
        for key, rows in side_by_side({log.service: log.rows() for log in self._logs}):
            dossier = Dossier(key)
            for service, row in rows:
                self._one(dossier, self._readers[service].entry(row))
                if self._tally.messages % PROGRESS_EVERY == 0:
                    progress(self._tally.messages)
            if dossier.streams or dossier.commands:
                self._judge(dossier)
        for reader in self._readers.values():
            reader.close()
        self._compare()
        progress(self._tally.messages)

    def _one(self, dossier: Dossier, entry: Entry) -> None:
        self._tally.messages += 1
        if self._views is not None:
            self._views.event(entry)
        prefix = entry.stream.partition("-")[0]
        if entry.row.version is not None and prefix in LONG_STREAMS:
            if prefix == "stock":
                self._stock.event(entry)
        else:
            dossier.add(entry)

    def _judge(self, dossier: Dossier) -> None:
        """All checks of one key."""
        tally, cuts, spool = self._tally, self.cuts, self._spool
        found: dict[str, Reservation] = {}
        for stream, entries in dossier.streams_of("reservation"):
            found[stream] = Reservation(tally)
            for entry in entries:
                found[stream].event(entry)
            stock.promises(entries, spool)
        for _, entries in dossier.streams_of("movement"):
            stock.recorded(entries, spool, tally)
        for _, entries in dossier.streams_of("fulfillment"):
            shipping.check_warehouse(entries, tally)
        wms.check_external(dossier, cuts, tally)
        if "order" in cuts:
            self._order(dossier, found)
        handled.check_handled(dossier, cuts, tally)
        mail.check_correspondence(dossier, cuts, spool, self.sink, tally)
        if self._views is not None and _is_order(dossier):
            self._views.order(dossier)

    def _order(self, dossier: Dossier, found: dict[str, Reservation]) -> None:
        tally, cuts = self._tally, self.cuts
        if dossier.order:
            tally.orders += 1
        totals.Totals(tally).check(dossier)
        paid = Money(tally)
        paid.check(dossier)
        money.check_ended(dossier, paid, found, cuts, tally)
        reservations.check_completed(dossier, found, cuts, tally)
        if self.provider is not None and dossier.order:
            self.provider.compare(dossier, paid)
        side = shipping.OrderSide(tally)
        side.check(dossier)
        shipping.check_both(dossier, side, cuts, tally)
        shipping.check_stopped(dossier, money.ending(dossier), cuts, tally)
        inspections = returning.check_returns(dossier, side.sent, self._spool, tally)
        returning.check_refunds(dossier, inspections, "returns" in cuts, tally)
        for return_id, (entry, _) in inspections.items():
            if not cuts.reached("order", entry):
                self._pending_restocks.add(return_id)
        for entry in dossier.commands:
            return_id = getattr(entry.message, "return_id", "")
            if return_id and not cuts.reached("inventory", entry):
                self._pending_restocks.add(return_id)

    def _compare(self) -> None:
        """What takes all the logs."""
        tally, cuts, spool = self._tally, self.cuts, self._spool
        if "inventory" in cuts:
            stock.compare(spool, tally)
            if "returns" in cuts and "order" in cuts:
                returning.compare(spool, self._pending_restocks, tally)
        causes.check_causes(spool, set(self._readers), tally)
        if self.provider is not None:
            self.provider.unclaimed()
        if self.sink:
            mail.check_sink(spool, cuts, tally)
        if self._views is not None:
            self._views.close()


class _Reader:
    """Decodes one service's rows, and checks each against the stream that it stands in."""

    def __init__(self, service: str, spool: Spool, tally: Tally) -> None:
        self._service = service
        self._codec = table_of(service).codec
        self._spool = spool
        self._tally = tally
        self._streams = chain.Streams(table_of(service), spool, tally)

    def entry(self, row: Row) -> Entry:
        """The row as an entry, its own checks made."""
        try:
            meta = _meta.decode(row.meta)
        except msgspec.MsgspecError:
            meta = Meta()
        id = f"{row.stream}/{row.version}" if row.version is not None else meta.id
        entry = Entry(self._service, row, id, meta, None)
        try:
            entry.message = self._codec.decode(row.type, row.data)
        except (BadPayload, UnknownType) as error:
            self._tally.violation(chain.READABLE, entry, str(error))
        chain.check_address(entry, self._tally)
        if row.version is not None:
            self._streams.event(entry)
        self._keep(entry)
        return entry

    def _keep(self, entry: Entry) -> None:
        row, cause = entry.row, entry.meta.causation
        stem = causes.stem_of_cause(cause)
        at = money.micros(row.at)
        values = (self._service, row.position, entry.id, cause, stem, at, row.stream, entry.number)
        said = int.from_bytes(blake2b(row.data, digest_size=7).digest())
        self._spool.add("ids", *values, said)
        if entry.message is not None and (asked := chain.stem_of(entry.message)):
            self._spool.add("asked", asked, entry.id)

    def close(self) -> None:
        """The last stream has ended."""
        self._streams.close()


def side_by_side(
    logs: dict[str, Iterator[Row]],
) -> Iterator[tuple[str, Iterable[tuple[str, Row]]]]:
    """Merge logs that are ordered by group: each group with the rows of all services, one service after the other."""
    groups = {service: groupby(rows, key=lambda row: row.group) for service, rows in logs.items()}
    heads = {service: next(g, None) for service, g in groups.items()}
    while living := [head[0] for head in heads.values() if head is not None]:
        key = min(living)
        here = [service for service, head in heads.items() if head is not None and head[0] == key]

        def rows(services: list[str] = here) -> Iterator[tuple[str, Row]]:
            for service in services:
                head = heads[service]
                assert head is not None
                for row in head[1]:
                    yield service, row
                heads[service] = next(groups[service], None)

        yield key, rows()


def _is_order(dossier: Dossier) -> bool:
    """Whether the key is an order's: movements have none."""
    return any(not stream.startswith("movement-") for stream in dossier.streams)
