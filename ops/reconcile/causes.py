"""Invariant 8, across services: ids are unique, every cause exists or is a root, and nothing causes itself.

A message's cause is the id of the message that was handled when it was decided; what a timer or the answer to a call
decides descends from the message that started the timer, or asked for the call:

* ``<stream>/<version>`` (an event) or ``<cause>:<n>`` (a command) must stand in some log;
* ``request:<id>`` (an HTTP request) is a root; so is ``timer:<stream>:<name>:<due>`` where no more is known, but the
  timer's stream must exist;
* ``effect:<id>``, likewise, stands for the event that asked for the call, which must exist;
* any other id comes from an outside producer (a channel, a warehouse), which has no log here: it is a root too, but
  only in services that listen to outsiders.
"""

import re
from array import array
from collections.abc import Iterator

from ops.reconcile.report import Check, Place, Tally
from ops.reconcile.spool import Spool

UNIQUE = Check(8, "message ids are unique")
CAUSES = Check(8, "every cause exists, or is a root")
ACYCLIC = Check(8, "nothing comes before its cause, and nothing causes itself")
ONCE = Check(
    9, "a message was applied once: all that it caused in a service was written at one time"
)
ASKED = Check(9, "each call to the outside is asked for by one event")
CHECKS = (UNIQUE, CAUSES, ACYCLIC, ONCE, ASKED)

OWNERS = {
    "order": "order",
    "stock": "inventory",
    "reservation": "inventory",
    "movement": "inventory",
    "fulfillment": "fulfillment",
    "return": "returns",
    "returnable": "returns",
    "correspondence": "notifications",
    "endpoints": "notifications",
    "webhook": "notifications",
    "channelorder": "integrations",
    "refusal": "integrations",
    "erporder": "integrations",
    "erpbook": "integrations",
    "erpcursor": "integrations",
    "wmsorder": "integrations",
}
#: Services with a topic that outsiders may write to.
OPEN_TO_OUTSIDERS = ("order", "inventory", "fulfillment", "returns", "integrations")

_EVENT = re.compile(rf"({'|'.join(OWNERS)})-.+/\d+")
_COMMAND = re.compile(r"(.+):\d+")
_REQUEST = re.compile(r"request:[^:]+")
_TIMER = re.compile(r"timer:(?P<stream>.+?):[a-z_]+:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")
_EFFECT = re.compile(r"effect:(.+?)(\.c\d+:capture|:authorise|:void|:refund)?")
#: A void that was refused may be asked for again, under the same id.
_REPEATABLE = "effect:%:void"


def stem_of_cause(cause: str) -> str | None:
    """The stem of the event that asked for the effect whose answer this is; None for other causes."""
    if not cause.startswith("effect:") or _COMMAND.fullmatch(cause):
        return None  # a command that was sent on such an answer is a message of its own
    found = _EFFECT.fullmatch(cause)
    assert found is not None
    return found[1]


def check_causes(spool: Spool, present: set[str], tally: Tally) -> None:
    """Run all checks of the module over the ids of every log; ``present`` are the services whose logs were read."""
    spool.index("create index ids_id on ids (id)")
    spool.index("create index ids_cause on ids (cause)")
    spool.index("create index asked_stem on asked (stem)")
    _unique(spool, tally)
    _known(spool, present, tally)
    _order(spool, tally)
    _cycles(spool, tally)
    _once(spool, tally)
    _asked(spool, tally)


def _unique(spool: Spool, tally: Tally) -> None:
    tally.saw(UNIQUE, _count(spool))
    sql = """select i.service, i.stream, i.version, i.id, n from (select id, count(*) as n, max(rowid) as last from ids
             group by id having n > 1) d join ids i on i.rowid = d.last"""
    for service, stream, version, id, n in spool.query(sql):
        tally.violation(UNIQUE, Place(service, stream, version, id), f"{n} messages have this id")


def _count(spool: Spool) -> int:
    return int(next(spool.query("select count(*) from ids"))[0])


def _known(spool: Spool, present: set[str], tally: Tally) -> None:
    tally.saw(CAUSES, _count(spool))
    sql = """select i.service, i.stream, i.version, i.id, i.cause, i.stem from ids i
             where not exists (select 1 from ids c where c.id = i.cause)"""
    roots: dict[str, int] = {}
    for service, stream, version, id, cause, stem in spool.query(sql):
        why = _why_unknown(spool, present, service, cause, stem)
        if why:
            tally.violation(CAUSES, Place(service, stream, version, id), why)
        else:
            kind = cause.partition(":")[0] if _is_own(cause) else "outside"
            roots[kind] = roots.get(kind, 0) + 1
    for kind, n in sorted(roots.items()):
        tally.note(f"{n:,} messages descend directly from a root of kind {kind!r}")


def _is_own(cause: str) -> bool:
    return cause.startswith(("request:", "timer:", "effect:"))


def _why_unknown(
    spool: Spool, present: set[str], service: str, cause: str, stem: str | None
) -> str:
    """Why a cause that stands in no log is none; empty where it is a root."""
    if not cause:
        return "it names no cause"
    if stem is not None:
        asker = "notifications" if stem.startswith(("mail:", "webhook:")) else "order"
        if asker not in present or spool.look("select 1 from asked where stem = ? limit 1", stem):
            return ""
        return f"it answers {cause}, which no event asked for"
    if _REQUEST.fullmatch(cause):
        return ""
    if timer := _TIMER.fullmatch(cause):
        first = f"{timer['stream']}/1"
        if spool.look("select 1 from ids where id = ? limit 1", first):
            return ""
        # A timer may start a stream only where its own first event is what it caused.
        return f"its cause {cause} is a timer of {timer['stream']}, which has no events"
    if event := _EVENT.fullmatch(cause):
        if OWNERS[event[1]] not in present:
            return ""
        return f"its cause {cause} is in no log"
    if (command := _COMMAND.fullmatch(cause)) and _is_of_this_system(spool, command[1]):
        return "" if "order" not in present else f"its cause, the command {cause}, is in no log"
    if service not in OPEN_TO_OUTSIDERS:
        return f"its cause {cause} is in no log, and nobody outside can write to {service}"
    return ""


def _is_of_this_system(spool: Spool, sender: str) -> bool:
    """Whether what sent a command is known here; an outsider's id may look like a command's."""
    if _is_own(sender) or _EVENT.fullmatch(sender):
        return True
    return bool(spool.look("select 1 from ids where cause = ? limit 1", sender))


def _edges(spool: Spool) -> Iterator[tuple[int, int]]:
    """Message to cause, as row numbers; the answer to a call descends from the event that asked for it."""
    yield from spool.query("select i.rowid, c.rowid from ids i join ids c on c.id = i.cause")
    yield from spool.query(
        """select i.rowid, c.rowid from ids i join asked a on a.stem = i.stem join ids c on c.id = a.id
           where i.stem is not null"""
    )


def _order(spool: Spool, tally: Tally) -> None:
    sql = """select i.service, i.stream, i.version, i.id, i.cause from ids i join ids c on c.id = i.cause
             where c.service = i.service and c.row >= i.row"""
    for service, stream, version, id, cause in spool.query(sql):
        why = f"its cause {cause} was written after it"
        tally.violation(ACYCLIC, Place(service, stream, version, id), why)


def _cycles(spool: Spool, tally: Tally) -> None:
    """Walk from every message to its root. Eight bytes and a mark for each message: every other state is on disk."""
    n = int(next(spool.query("select coalesce(max(rowid), 0) from ids"))[0])
    cause = array("q", bytes(8 * (n + 1)))
    for message, of in _edges(spool):
        cause[message] = of
    tally.saw(ACYCLIC, n)
    done = bytearray(n + 1)  # 0: not seen, 1: on this walk, 2: leads to a root
    for start in range(1, n + 1):
        walk: list[int] = []
        node = start
        while node and not done[node]:
            done[node] = 1
            walk.append(node)
            node = cause[node]
        if node and done[node] == 1:
            sql = "select service, stream, version, id from ids where rowid = ?"
            [place] = spool.look(sql, node)
            tally.violation(ACYCLIC, Place(*place), "it is among its own causes")
        for step in walk:
            done[step] = 2


def _once(spool: Spool, tally: Tally) -> None:
    """One cause says one thing once in a stream. (It may say more there later, by a timer or the answer to a call.)

    Outsiders may send a message again, under the same id: business keys see to it that nothing happens twice.
    """
    sql = f"""select service, cause, count(*), max(at) - min(at), stream, version, id, max(row) from ids i
              where version > 0 and cause not like '{_REPEATABLE}' and (
                  cause like 'request:%' or cause like 'timer:%' or cause like 'effect:%'
                  or exists (select 1 from ids c where c.id = i.cause))
              group by service, cause, stream, said"""  # noqa: S608 - a constant
    for service, cause, n, apart, stream, version, id, _ in spool.query(sql):
        tally.saw(ONCE)
        if n > 1:
            why = f"{cause} was applied {n} times, {apart / 1000:,.1f} ms apart, with the same outcome"
            tally.violation(ONCE, Place(service, stream, version, id), why)


def _asked(spool: Spool, tally: Tally) -> None:
    tally.saw(ASKED, int(next(spool.query("select count(distinct stem) from asked"))[0]))
    sql = """select a.stem, n, i.service, i.stream, i.version, i.id
             from (select stem, count(*) as n, max(id) as last from asked group by stem having n > 1) a
             join ids i on i.id = a.last"""
    for stem, n, *place in spool.query(sql):
        tally.violation(ASKED, Place(*place), f"{n} events ask for calls under {stem!r}")
