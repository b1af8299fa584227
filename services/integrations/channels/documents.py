"""The order document: how a channel without a format of its own states an order, over REST and in files."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Self

from msgspec import UNSET
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.events import Address, Charge, Customer, OrderLine, Tender
from shared.events.limits import AMOUNT_MAX, CHARGES_MAX, LINES_MAX, YEAR_MAX, YEAR_MIN
from shared.events.order import PlaceOrder
from shared.service import (
    CurrencyCode,
    Identifier,
    Input,
    MinorUnits,
    OptionalText,
    Quantity,
    Sku,
    Timestamp,
)
from shared.service.parties import AddressIn, CustomerIn


def _meant(at: datetime) -> datetime:
    if not YEAR_MIN <= at.year <= YEAR_MAX:
        raise PydanticCustomError("year", f"A time from {YEAR_MIN} to {YEAR_MAX}")
    return at


class LineIn(Input):
    """One line; money in minor units of the order's currency."""

    sku: Sku
    quantity: Quantity
    unit_price: MinorUnits
    description: OptionalText = ""


class ChargeIn(Input):
    """Shipping, tax, a fee, or a discount (which subtracts)."""

    kind: Literal["shipping", "tax", "discount", "fee"]
    amount: MinorUnits
    description: OptionalText = ""


class TenderIn(Input):
    """One of the payments by which the order was paid at its channel."""

    method: Identifier
    amount: MinorUnits
    instalments: Annotated[int, Field(strict=True, ge=1, le=1_000)] = 1
    approved_at: Annotated[Timestamp, AfterValidator(_meant)] | None = None


class OrderDocument(Input):
    """One order; ``number`` is the channel's own. Lines are numbered from 1 as they stand. ``tenders``, where given, come
    to the order's total."""

    number: Identifier
    currency: CurrencyCode
    lines: Annotated[list[LineIn], Field(min_length=1, max_length=LINES_MAX)]
    charges: Annotated[tuple[ChargeIn, ...], Field(max_length=CHARGES_MAX)] = ()
    customer: CustomerIn = CustomerIn()
    ship_to: AddressIn = AddressIn()
    tenders: Annotated[tuple[TenderIn, ...], Field(max_length=CHARGES_MAX)] = ()
    payment: Annotated[
        str, Field(max_length=200, pattern=r"^[A-Za-z0-9_.:-]*$", validate_default=True)
    ] = ""
    backorder: Literal["refuse", "wait"] = "refuse"
    placed_at: Annotated[Timestamp, AfterValidator(_meant)] | None = None

    @field_validator("payment")
    @classmethod
    def _pays(cls, payment: str, others: ValidationInfo) -> str:
        """What costs something must be paid by something; a total that cannot be is told of instead."""
        if not payment and {"lines", "charges"} <= others.data.keys():
            total = _total(others.data["lines"], others.data["charges"])
            if 0 < total <= AMOUNT_MAX:
                raise PydanticCustomError(
                    "payment_missing",
                    f"It names what pays {total} minor units; only an order of 0 needs none",
                )
        return payment

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        """Each amount may be in range, and their sum not."""
        total = _total(self.lines, self.charges)
        largest = max(x.quantity * x.unit_price for x in self.lines)
        if not 0 <= total <= AMOUNT_MAX or largest > AMOUNT_MAX:
            raise PydanticCustomError(
                "total", f"Lines and charges must come to 0 to {AMOUNT_MAX} minor units"
            )
        paid = sum(x.amount for x in self.tenders)
        if self.tenders and paid != total:
            raise PydanticCustomError(
                "tenders", f"The tenders come to {paid}, the order to {total}"
            )
        return self


def _total(lines: Sequence[LineIn], charges: Sequence[ChargeIn]) -> int:
    goods = sum(x.quantity * x.unit_price for x in lines)
    return goods + sum(-x.amount if x.kind == "discount" else x.amount for x in charges)


def command_of(document: OrderDocument, channel: str) -> PlaceOrder:
    """The command that a document states."""
    return PlaceOrder(
        channel=channel,
        external_id=document.number,
        currency=document.currency,
        lines=tuple(
            OrderLine(
                line_id=str(n),
                sku=x.sku,
                quantity=x.quantity,
                unit_price=x.unit_price,
                total=x.quantity * x.unit_price,
                description=x.description,
            )
            for n, x in enumerate(document.lines, 1)
        ),
        charges=tuple(
            Charge(kind=x.kind, amount=x.amount, description=x.description)
            for x in document.charges
        ),
        customer=Customer(**document.customer.__dict__),
        ship_to=Address(**document.ship_to.__dict__),
        payment_method=document.payment,
        backorder=document.backorder,
        placed_at=document.placed_at,
        tenders=tuple(Tender(**x.__dict__) for x in document.tenders) or UNSET,
    )
