"""Refusals: where things stand, and what is possible instead."""

from collections.abc import Callable

from services.fulfillment.domain.state import Fulfillment, Key, Line, Stage, stage
from shared.events import LineQuantity, Refused
from shared.events.fulfillment import FulfillmentCommand

_SHIP = "ship its released packages, or cancel it while none is released"
_PACK = f"pack what is picked, {_SHIP}"

#: What may be done at each stage, in words.
POSSIBLE = {
    Stage.UNKNOWN: "create it first",
    Stage.OPEN: "start picking it, or cancel it",
    Stage.PICKING: f"record a pick, {_PACK}",
    Stage.PICKED: _PACK,
    Stage.PACKED: _SHIP,
    Stage.SHIPPED: "confirm delivery of its packages",
    Stage.DELIVERED: "nothing is left to do",
    Stage.INCOMPLETE: "nothing was found, so nothing will be sent",
    Stage.CANCELLED: "it has ended",
}


def misaddressed(state: Fulfillment, command: FulfillmentCommand) -> Refused | None:
    """A refusal if the fulfillment is unknown, or belongs to another order than is said."""
    if stage(state) is Stage.UNKNOWN:
        return Refused(
            code="unknown_fulfillment",
            detail=f"there is no fulfillment {command.fulfillment_id}: {POSSIBLE[Stage.UNKNOWN]}",
        )
    if state.order_id != command.order_id:
        return Refused(
            code="wrong_order",
            detail=f"fulfillment {command.fulfillment_id} belongs to order {state.order_id}, "
            f"not {command.order_id}: repeat with the right one",
        )
    return None


def wrong_state(state: Fulfillment, command: FulfillmentCommand) -> Refused:
    """The command is not for this stage."""
    now = stage(state)
    return Refused(
        code="wrong_state",
        detail=f"fulfillment {command.fulfillment_id} is {now}: {POSSIBLE[now]}",
    )


def unknown_package(state: Fulfillment, package_id: str) -> Refused:
    """No such package here."""
    known = ", ".join(state.packages) or "none yet"
    return Refused(
        code="unknown_package", detail=f"there is no package {package_id}; packages here: {known}"
    )


def bad_quantities(lines: tuple[LineQuantity, ...]) -> Refused | None:
    """A refusal if any quantity is not positive."""
    bad = [f"line {x.line_id} ({x.sku}): {x.quantity}" for x in lines if x.quantity < 1]
    if not bad:
        return None
    return Refused(code="quantity", detail=f"quantities must be at least 1: {'; '.join(bad)}")


def beyond(
    lines: tuple[Line, ...],
    wanted: dict[Key, int],
    limit: Callable[[Line], int],
    code: str,
    what: str,
) -> Refused | None:
    """A refusal naming each line that is unknown, or wanted beyond its limit (``code``)."""
    known = {(line.line_id, line.sku): line for line in lines}
    unknown = [f"{line_id} ({sku})" for line_id, sku in wanted if (line_id, sku) not in known]
    if unknown:
        here = ", ".join(f"{line_id} ({sku})" for line_id, sku in known)
        return Refused(
            code="unknown_line", detail=f"not of this fulfillment: {', '.join(unknown)}; has {here}"
        )
    over = [
        f"line {key[0]} ({key[1]}): {quantity} asked, {limit(known[key])} {what}"
        for key, quantity in wanted.items()
        if quantity > limit(known[key])
    ]
    return Refused(code=code, detail="; ".join(over)) if over else None
