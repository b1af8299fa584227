"""Goods coming back: receipts, and the inspection that gives every unit a disposition."""

from collections.abc import Mapping

from services.returns.domain.refusals import misaddressed, wrong_state
from services.returns.domain.state import Return, Stage
from services.returns.domain.units import Key, as_lines, bad_quantities, beyond, tally
from shared.events import Context, Items, Refused, States
from shared.events.returns import (
    Disposition,
    InspectedLine,
    InspectReturn,
    ItemsUnclaimed,
    ReceiveReturn,
    ReturnInspected,
    ReturnReceived,
)


def receive(state: Return, command: ReceiveReturn, _: Context) -> Items:
    """Count one receipt; the same receipt again changes nothing."""
    if refused := misaddressed(state, command.return_id, command.order_id):
        return [refused]
    units = tally(command.lines)
    if (known := state.receipts.get(command.receipt_id)) is not None:
        if tally(known) == units:
            return []
        return [
            Refused(
                code="receipt_exists",
                detail=f"receipt {command.receipt_id} counted other units: use a new receipt id",
            )
        ]
    if state.stage not in (Stage.APPROVED, Stage.PARTIALLY_RECEIVED):
        return [wrong_state(state, command.return_id)]
    if not units:
        return [Refused(code="no_lines", detail="a receipt needs at least one line")]
    if refused := bad_quantities(command.lines):
        return [refused]
    if refused := beyond(units, state.outstanding, "over_receipt", "outstanding"):
        return [refused]
    return [
        ReturnReceived(
            return_id=command.return_id,
            order_id=command.order_id,
            receipt_id=command.receipt_id,
            location=command.location,
            lines=as_lines(units),
            outstanding=sum(state.outstanding.values()) - sum(units.values()),
        )
    ]


def inspect(states: States, command: InspectReturn, context: Context) -> Items:
    """Give every received unit its disposition. The rest is ``missing``, and may be claimed again.

    Missing units may be stated or left out; a return of which nothing came back is only closed when
    they are stated, so that an empty inspection cannot do it by accident.
    """
    state: Return = states[command.subject]
    if refused := misaddressed(state, command.return_id, command.order_id):
        return [refused]
    if refused := bad_quantities(command.lines):
        return [refused]
    stated = _by_disposition(command.lines)
    missing = {key: n for key, n in state.outstanding.items() if n}
    lines = _complete(stated, missing)
    if state.stage in (Stage.INSPECTED, Stage.SETTLED):
        if _by_disposition(lines) == _by_disposition(state.inspected):
            return []
        return [wrong_state(state, command.return_id)]
    if state.stage not in (Stage.APPROVED, Stage.PARTIALLY_RECEIVED, Stage.RECEIVED):
        return [wrong_state(state, command.return_id)]
    if refused := _incomplete(state, stated):
        return [refused]
    items: Items = [
        ReturnInspected(
            return_id=command.return_id,
            order_id=command.order_id,
            location=state.location,
            lines=lines,
            actor=command.actor or context.actor,
        )
    ]
    if missing:
        items.append(
            ItemsUnclaimed(
                return_id=command.return_id, order_id=command.order_id, lines=as_lines(missing)
            )
        )
    return items


Judged = dict[tuple[str, str, Disposition], int]


def _by_disposition(lines: tuple[InspectedLine, ...]) -> Judged:
    units: Judged = {}
    for line in lines:
        key = (line.line_id, line.sku, line.disposition)
        units[key] = units.get(key, 0) + line.quantity
    return units


def _complete(stated: Judged, missing: Mapping[Key, int]) -> tuple[InspectedLine, ...]:
    """Units by disposition, with the missing ones last."""
    found = {key: n for key, n in stated.items() if key[2] != "missing"}
    found |= {(*key, "missing"): n for key, n in missing.items()}
    return tuple(
        InspectedLine(line_id=line_id, sku=sku, quantity=quantity, disposition=disposition)
        for (line_id, sku, disposition), quantity in found.items()
    )


def _incomplete(state: Return, stated: Judged) -> Refused | None:
    """A refusal unless dispositions add up to what was received, and missing to what was not."""
    judged: dict[Key, int] = {}
    missing: dict[Key, int] = {}
    for (line_id, sku, disposition), quantity in stated.items():
        units = missing if disposition == "missing" else judged
        units[line_id, sku] = units.get((line_id, sku), 0) + quantity
    wrong = [
        f"line {key[0]} ({key[1]}): {judged.get(key, 0)} judged, "
        f"{state.received.get(key, 0)} received"
        for key in {**state.received, **judged}
        if judged.get(key, 0) != state.received.get(key, 0)
    ]
    must_state = bool(missing) or state.stage is Stage.APPROVED
    if must_state:
        wrong += [
            f"line {key[0]} ({key[1]}): {missing.get(key, 0)} stated as missing, "
            f"{state.outstanding.get(key, 0)} not received"
            for key in {**state.outstanding, **missing}
            if missing.get(key, 0) != state.outstanding.get(key, 0)
        ]
    return Refused(code="disposition", detail="; ".join(wrong)) if wrong else None
