"""What both ends of the provider's HTTP interface read and write, besides the outcomes."""

from collections.abc import Sequence

import msgspec

from shared.payments.port import Outcome
from shared.payments.rules import Entry

PROBLEM_PREFIX = "urn:oms:problem:payments:"


class Found(msgspec.Struct, frozen=True):
    """What a lookup found: `outcome` is null if nothing is recorded."""

    outcome: Outcome | None


class LedgerPage(msgspec.Struct, frozen=True):
    """A page of the ledger; pass `next_after` as `after` for the next. An empty page is the end."""

    entries: list[Entry]
    next_after: int


class FieldError(msgspec.Struct, frozen=True):
    """One field that is wrong.

    `field` such as `body.amount.currency` or `header.idempotency-key`.
    """

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an error answer (RFC 9457), media type application/problem+json."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: Sequence[FieldError] = ()
