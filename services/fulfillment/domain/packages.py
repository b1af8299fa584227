"""Packing, and each package's way out: packed, released, shipped, delivered."""

from datetime import UTC

from services.fulfillment.domain.refusals import (
    bad_quantities,
    beyond,
    misaddressed,
    unknown_package,
    wrong_state,
)
from services.fulfillment.domain.state import (
    Fulfillment,
    Package,
    PackageStage,
    Stage,
    as_lines,
    stage,
    tally,
)
from shared.events import Context, Items, Refused
from shared.events.fulfillment import (
    ConfirmDelivery,
    Delivered,
    PackagePacked,
    PackageReleased,
    PackItems,
    ReleasePackage,
    ShipPackage,
    Shipped,
)
from shared.events.limits import PLAIN_ID, has_passed


def pack(state: Fulfillment, command: PackItems, _: Context) -> Items:
    """Put picked units into a new package; the same package and content again changes nothing."""
    if refused := misaddressed(state, command):
        return [refused]
    content = tally(command.lines)
    if (known := state.packages.get(command.package_id)) is not None:
        if tally(known.lines) == content:
            return []
        return [
            Refused(
                code="package_exists",
                detail=f"package {command.package_id} is {known.stage} with other content: "
                "use a new package id",
            )
        ]
    if stage(state) not in (Stage.PICKING, Stage.PICKED):
        return [wrong_state(state, command)]
    if refused := _unfit(command):
        return [refused]
    if refused := beyond(state.lines, content, lambda x: x.loose, "over_pack", "picked and loose"):
        return [refused]
    return [
        PackagePacked(
            fulfillment_id=command.fulfillment_id,
            order_id=command.order_id,
            package_id=command.package_id,
            lines=as_lines(content),
        )
    ]


def _unfit(command: PackItems) -> Refused | None:
    """What is wrong with the command in itself."""
    # An order tells the packages of all its fulfillments apart by these ids alone.
    prefix = f"{command.fulfillment_id}."
    if not command.package_id.startswith(prefix) or command.package_id == prefix:
        return Refused(
            code="package_id",
            detail=f"package id {command.package_id!r} must start with {prefix!r}, "
            f"such as {prefix}p1",
        )
    if not PLAIN_ID.fullmatch(command.package_id):
        return Refused(
            code="package_id",
            detail=f"package id {command.package_id!r} must be at most 100 printable ASCII characters without spaces",
        )
    if not command.lines:
        return Refused(
            code="no_lines", detail=f"package {command.package_id} is empty: name what is in it"
        )
    return bad_quantities(command.lines)


def release(state: Fulfillment, command: ReleasePackage, _: Context) -> Items:
    """The package is paid for and may leave; once released it stays so."""
    package = _package(state, command)
    if isinstance(package, Refused):
        return [package]
    if package.stage is not PackageStage.PACKED:
        return []
    return [
        PackageReleased(
            fulfillment_id=command.fulfillment_id,
            order_id=command.order_id,
            package_id=command.package_id,
        )
    ]


def ship(state: Fulfillment, command: ShipPackage, context: Context) -> Items:
    """The carrier took a released package. One `Shipped` per package, ever."""
    package = _package(state, command)
    if isinstance(package, Refused):
        return [package]
    match package.stage:
        case PackageStage.PACKED:
            return [
                Refused(
                    code="not_released",
                    detail=f"package {command.package_id} is packed and not yet paid for: "
                    "it may leave once it is released",
                )
            ]
        case PackageStage.RELEASED:
            if command.shipped_at and not has_passed(command.shipped_at, context.now):
                return [
                    Refused(
                        code="shipped_at",
                        detail=f"package {command.package_id} cannot have left at "
                        f"{command.shipped_at.isoformat()}: give a time that has passed",
                    )
                ]
            return [
                Shipped(
                    fulfillment_id=command.fulfillment_id,
                    order_id=command.order_id,
                    package_id=command.package_id,
                    location=state.location,
                    lines=package.lines,
                    carrier=command.carrier,
                    tracking_number=command.tracking_number,
                    shipped_at=command.shipped_at and command.shipped_at.astimezone(UTC),
                )
            ]
    left_with = (package.carrier, package.tracking_number)
    if left_with == (command.carrier, command.tracking_number):
        return []
    return [
        Refused(
            code="already_shipped",
            detail=f"package {command.package_id} left with {left_with[0]} "
            f"under {left_with[1]!r}: it cannot leave twice",
        )
    ]


def confirm_delivery(state: Fulfillment, command: ConfirmDelivery, context: Context) -> Items:
    """A shipped package arrived: now, unless the carrier gives another time."""
    package = _package(state, command)
    if isinstance(package, Refused):
        return [package]
    match package.stage:
        case PackageStage.DELIVERED:
            return []
        case PackageStage.SHIPPED:
            at = command.delivered_at or context.now
            if not has_passed(at, context.now):
                return [
                    Refused(
                        code="delivered_at",
                        detail=f"package {command.package_id} cannot have arrived at "
                        f"{at.isoformat()}: give a time that has passed",
                    )
                ]
            return [
                Delivered(
                    fulfillment_id=command.fulfillment_id,
                    order_id=command.order_id,
                    package_id=command.package_id,
                    lines=package.lines,
                    delivered_at=at.astimezone(UTC),
                )
            ]
    return [
        Refused(
            code="not_shipped",
            detail=f"package {command.package_id} is {package.stage}: ship it first",
        )
    ]


def _package(
    state: Fulfillment, command: ReleasePackage | ShipPackage | ConfirmDelivery
) -> Package | Refused:
    if refused := misaddressed(state, command):
        return refused
    if stage(state) is Stage.CANCELLED:
        return wrong_state(state, command)
    return state.packages.get(command.package_id) or unknown_package(state, command.package_id)
