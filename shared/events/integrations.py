"""The integrations service's language: what partners said, and what came of it.

All of it stays in the service's own log: what partners say may be personal, and what others need to know of it travels as
commands to the services that decide.
"""

from typing import ClassVar
from uuid import UUID, uuid5

from shared.events.message import Event, Instant, LineQuantity

_REFUSALS = UUID("0d1c5a54-3c0b-5e0e-8a43-97a3a6b0d6ce")


def refusal_id_for(source: str, reference: str, payload: str) -> str:
    """The id of a refused input: the same for the same words from the same place, however often they come."""
    return str(uuid5(_REFUSALS, f"{source}\x1f{reference}\x1f{payload}"))


class ChannelOrderEvent(Event, frozen=True, kw_only=True):
    """What a channel said of one of its orders: stream ``channelorder-<order_id>``."""

    private: ClassVar[bool] = True

    order_id: str

    @property
    def subject(self) -> str:
        return f"channelorder-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class OrderForwarded(
    ChannelOrderEvent, frozen=True, kw_only=True, tag="oms.integrations.order_forwarded.v1"
):
    """An order went on to the order service. ``fingerprint`` tells it from another order under the same number;
    ``source`` and ``reference`` say where it came from; ``said_at`` is the channel's own time of what it said."""

    channel: str
    external_id: str
    source: str
    reference: str
    fingerprint: str
    said_at: Instant | None = None


class CancellationForwarded(
    ChannelOrderEvent, frozen=True, kw_only=True, tag="oms.integrations.cancellation_forwarded.v1"
):
    """A cancellation went on to the order service; of an order that has not come yet, it keeps that order from going."""

    source: str
    reference: str
    reason: str
    said_at: Instant | None = None


class OrderReopened(
    ChannelOrderEvent, frozen=True, kw_only=True, tag="oms.integrations.order_reopened.v1"
):
    """The order service found the order unusable: another one may come under the same number."""

    detail: str


class ParcelSeen(
    ChannelOrderEvent, frozen=True, kw_only=True, tag="oms.integrations.parcel_seen.v1"
):
    """A parcel of a channel's order left: what the channel says of it later can be understood."""

    fulfillment_id: str
    package_id: str
    tracking_number: str
    lines: tuple[LineQuantity, ...]


class DeliveryForwarded(
    ChannelOrderEvent, frozen=True, kw_only=True, tag="oms.integrations.delivery_forwarded.v1"
):
    """The channel said that a parcel arrived, and the fulfillment service was told."""

    package_id: str
    source: str
    reference: str


class ReturnForwarded(
    ChannelOrderEvent, frozen=True, kw_only=True, tag="oms.integrations.return_forwarded.v1"
):
    """The channel said that goods come back, and the returns service was asked to expect them."""

    return_id: str
    source: str
    reference: str
    lines: tuple[LineQuantity, ...]


class RefusalEvent(Event, frozen=True, kw_only=True):
    """What became of one input that was not taken: stream ``refusal-<refusal_id>``."""

    private: ClassVar[bool] = True

    refusal_id: str

    @property
    def subject(self) -> str:
        return f"refusal-{self.refusal_id}"

    @property
    def key(self) -> str:
        return self.refusal_id


class InputRefused(
    RefusalEvent, frozen=True, kw_only=True, tag="oms.integrations.input_refused.v1"
):
    """An input was not taken. ``source`` is the adapter that read it, ``reference`` its place there (a file and line, a
    webhook's id), ``payload`` the input as it came, ``reason`` a code and ``detail`` the words for a person."""

    source: str
    channel: str
    reference: str
    payload: str
    reason: str
    detail: str


class InputResubmitted(
    RefusalEvent, frozen=True, kw_only=True, tag="oms.integrations.input_resubmitted.v1"
):
    """A person had the input read again, corrected where ``payload`` is not empty, and it was taken."""

    actor: str
    payload: str = ""
