"""Opening, picking and stopping a fulfillment order."""

from services.fulfillment.domain.refusals import bad_quantities, beyond, misaddressed, wrong_state
from services.fulfillment.domain.state import (
    Fulfillment,
    Key,
    PackageStage,
    Stage,
    as_lines,
    stage,
    tally,
)
from shared.events import Context, Items, Refused
from shared.events.fulfillment import (
    CancelFulfillment,
    CreateFulfillment,
    FulfillmentCancellationRefused,
    FulfillmentCancelled,
    FulfillmentOpened,
    ItemsPicked,
    PickingStarted,
    RecordPick,
    StartPicking,
)


def create(state: Fulfillment, command: CreateFulfillment, _: Context) -> Items:
    """Open the fulfillment order; nothing if it is known, or was cancelled before it came."""
    if stage(state) is not Stage.UNKNOWN:
        return []
    if not command.lines:
        return [
            Refused(
                code="no_lines",
                detail=f"fulfillment {command.fulfillment_id} has no lines: send at least one",
            )
        ]
    if refused := bad_quantities(command.lines):
        return [refused]
    return [
        FulfillmentOpened(
            fulfillment_id=command.fulfillment_id,
            order_id=command.order_id,
            location=command.location,
            lines=command.lines,
            ship_to=command.ship_to,
        )
    ]


def start_picking(state: Fulfillment, command: StartPicking, _: Context) -> Items:
    """A picker takes it. The same picker again changes nothing; a second one is refused."""
    if refused := misaddressed(state, command):
        return [refused]
    match stage(state):
        case Stage.OPEN:
            return [
                PickingStarted(
                    fulfillment_id=command.fulfillment_id,
                    order_id=command.order_id,
                    picker=command.picker,
                )
            ]
        case Stage.PICKING if state.picker == command.picker:
            return []
        case Stage.PICKING:
            return [
                Refused(
                    code="already_picking",
                    detail=f"{state.picker or 'somebody'} is picking "
                    f"{command.fulfillment_id}: take another one",
                )
            ]
        case _:
            return [wrong_state(state, command)]


def record_pick(state: Fulfillment, command: RecordPick, _: Context) -> Items:
    """Count what was found. A final pick that leaves units open reports them as short.

    A ``pick_id`` that was counted before changes nothing, and with other units is refused.
    """
    if refused := misaddressed(state, command):
        return [refused]
    if (counted := state.picks.get(command.pick_id)) is not None:
        if tally(counted) == tally(command.lines):
            return []
        why = f"pick {command.pick_id} counted other units: use a new pick id"
        return [Refused(code="pick_exists", detail=why)]
    if stage(state) is not Stage.PICKING:
        return [wrong_state(state, command)]
    if refused := bad_quantities(command.lines):
        return [refused]
    if not command.lines and not command.final:
        return [
            Refused(
                code="no_lines",
                detail="nothing picked: name what was found, or set final to report a short pick",
            )
        ]
    picked = tally(command.lines)
    if refused := beyond(state.lines, picked, lambda x: x.open, "over_pick", "left to pick"):
        return [refused]
    short = _short(state, picked) if command.final else {}
    return [
        ItemsPicked(
            fulfillment_id=command.fulfillment_id,
            order_id=command.order_id,
            lines=as_lines(picked),
            short=as_lines(short),
            short_reason=command.short_reason if short else "",
            pick_id=command.pick_id,
        )
    ]


def _short(state: Fulfillment, picked: dict[Key, int]) -> dict[Key, int]:
    left = {(x.line_id, x.sku): x.open - picked.get((x.line_id, x.sku), 0) for x in state.lines}
    return {key: quantity for key, quantity in left.items() if quantity}


def cancel(state: Fulfillment, command: CancelFulfillment, _: Context) -> Items:
    """Stop, unless a package was released or has left.

    A cancel that overtakes its create stops it beforehand. A refusal is
    answered every time: whoever asks again waits for an answer again.
    """
    if stage(state) is Stage.CANCELLED:
        return []
    if stage(state) is not Stage.UNKNOWN and (refused := misaddressed(state, command)):
        return [refused]
    late = [
        f"package {package_id} is {package.stage}"
        for package_id, package in state.packages.items()
        if package.stage is not PackageStage.PACKED
    ]
    if late:
        return [
            FulfillmentCancellationRefused(
                fulfillment_id=command.fulfillment_id,
                order_id=command.order_id,
                reason="; ".join(late),
            )
        ]
    return [
        FulfillmentCancelled(
            fulfillment_id=command.fulfillment_id,
            order_id=command.order_id,
            reason=command.reason,
        )
    ]
