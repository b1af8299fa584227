"""Invariant 9 for e-mail: one request for each template and cause, sent once; and the sink has what was sent, once."""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from ops.reconcile.log import Cuts, Dossier, Entry, events
from ops.reconcile.money import micros
from ops.reconcile.report import Check, Place, Tally
from ops.reconcile.spool import Spool
from shared.events import notifications as n
from shared.events import order as o

REQUESTED = Check(
    9, "each e-mail is requested once for each recipient, template and cause, and ends once"
)
ARRIVED = Check(9, "every e-mail that was sent is in the sink, and nothing else is")
CHECKS = (REQUESTED, ARRIVED)

#: Which event makes which e-mail due.
TEMPLATES: dict[str, type[o.OrderEvent]] = {
    "order_confirmed": o.OrderConfirmed,
    "order_rejected": o.OrderRejected,
    "order_cancelled": o.OrderCancelled,
    "order_shipped": o.OrderShipped,
    "refund_issued": o.RefundIssued,
}
#: The sink's clock may be ahead of the database's: mail younger than the cut is judged next time.
CLOCKS_DIFFER_MAX = timedelta(seconds=2)


class Mail(NamedTuple):
    """One message as the sink has it; ``at`` is microseconds since 1970."""

    id: str
    recipients: str
    received: int
    at: int


def add(spool: Spool, mails: Iterable[Mail]) -> None:
    """A page of the sink's messages."""
    for mail in mails:
        spool.add("mails", *mail)
    spool.flush()


def check_correspondence(
    dossier: Dossier, cuts: Cuts, spool: Spool, sink: bool, tally: Tally
) -> None:
    """One order's correspondence against the events that made it due, and against the sink."""
    due = {entry.id: entry for entry, _ in events(dossier.order, *TEMPLATES.values())}
    for stream, entries in dossier.streams_of("correspondence"):
        asked: dict[tuple[str, str], str] = {}
        open_ids: dict[str, Entry] = {}
        for entry in entries:
            tally.saw(REQUESTED)
            match entry.message:
                case n.NotificationRequested() as m:
                    _requested(entry, m, asked, due, "order" in cuts, tally)
                    open_ids[m.notification_id] = entry
                case n.NotificationSent() | n.NotificationFailed() as m:
                    if open_ids.pop(m.notification_id, None) is None:
                        why = f"notification {m.notification_id} ended, and none was open under this id"
                        tally.violation(REQUESTED, entry, why)
                    if sink and isinstance(m, n.NotificationSent):
                        _sent(entry, m, spool, tally)
                case _:
                    pass
        # What was requested may have reached the sink before its answer reached the log.
        for id in open_ids:
            spool.add("mails_claimed", f"{id}@oms.local")
        owed = cuts["notifications"].effects if "notifications" in cuts else {}
        waiting = sum(1 for id in open_ids if f"mail:{id}" in owed)
        tally.in_flight("e-mails that wait for the mail server", waiting)
        if entries and due:
            _told(stream, entries, asked, due, cuts, tally)


def _requested(
    entry: Entry,
    m: n.NotificationRequested,
    asked: dict[tuple[str, str], str],
    due: dict[str, Entry],
    whole: bool,
    tally: Tally,
) -> None:
    mark = (m.template, m.cause_id)
    if mark in asked:
        why = f"{m.template} was asked for before for {m.cause_id}, by {asked[mark]}"
        tally.violation(REQUESTED, entry, why)
    asked[mark] = entry.id
    if not whole:
        return
    cause = due.get(m.cause_id)
    if cause is None or not isinstance(cause.message, TEMPLATES[m.template]):
        why = f"{m.template} for {m.cause_id}, which is no event that makes it due"
        tally.violation(REQUESTED, entry, why)


def _sent(entry: Entry, m: n.NotificationSent, spool: Spool, tally: Tally) -> None:
    tally.saw(ARRIVED)
    id = m.message_id.strip("<>")
    spool.add("mails_claimed", id)
    if not spool.look("select 1 from mails where id = ?", id):
        tally.violation(ARRIVED, entry, f"{m.message_id} was sent, and the sink never got it")


def _told(
    stream: str,
    entries: list[Entry],
    asked: dict[tuple[str, str], str],
    due: dict[str, Entry],
    cuts: Cuts,
    tally: Tally,
) -> None:
    """Every event that makes an e-mail due has its request, once notifications have handled it."""
    names = {t: name for name, t in TEMPLATES.items()}
    for id, cause in due.items():
        template = names[type(cause.message)]  # type: ignore[index]
        if (template, id) not in asked and cuts.reached("notifications", cause):
            why = f"{stream} has no {template} for it, though notifications have handled it"
            tally.violation(REQUESTED, cause, why)


def check_sink(spool: Spool, cuts: Cuts, tally: Tally) -> None:
    """What only the sink knows: messages that nobody asked for, and how often each came."""
    until = micros(cuts["notifications"].at - CLOCKS_DIFFER_MAX) if "notifications" in cuts else 0
    sql = """select id, recipients, at from mails m
             where not exists (select 1 from mails_claimed c where c.id = m.id) order by at"""
    for id, _, at in spool.query(sql):
        tally.saw(ARRIVED)
        if at > until:
            tally.in_flight("e-mails in the sink that are younger than the logs read")
        else:
            place = Place("sink", "mail", 0, id)
            tally.violation(ARRIVED, place, f"the sink has <{id}>, which no event asked for")
    [(again,)] = spool.query("select coalesce(sum(received - 1), 0) from mails")
    if again:
        tally.note(
            f"{again:,} e-mails came to the sink again under the same Message-ID (dropped there)"
        )
