"""The notifications service's language: what was told to whom, once."""

from typing import ClassVar, Literal

import msgspec

from shared.events.message import Event

Template = Literal[
    "order_confirmed", "order_rejected", "order_cancelled", "order_shipped", "refund_issued"
]

#: The one stream that holds every webhook endpoint: an event's decider must see them all at once.
ENDPOINTS = "endpoints-all"


class CorrespondenceEvent(Event, frozen=True, kw_only=True):
    """What one order's customer was told: stream ``correspondence-<order_id>``."""

    order_id: str

    @property
    def subject(self) -> str:
        return f"correspondence-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class CorrespondenceOpened(
    CorrespondenceEvent, frozen=True, kw_only=True, tag="oms.notifications.correspondence_opened.v1"
):
    """Where the customer of an order can be reached, and how to call the order."""

    private: ClassVar[bool] = True

    channel: str
    external_id: str
    name: str
    email: str


class NotificationRequested(
    CorrespondenceEvent, frozen=True, kw_only=True, tag="oms.notifications.requested.v1"
):
    """A message is due: at most one per template and cause (the id of the event that caused it)."""

    notification_id: str
    template: Template
    cause_id: str


class NotificationSent(
    CorrespondenceEvent, frozen=True, kw_only=True, tag="oms.notifications.sent.v1"
):
    """The mail server took the message; ``message_id`` is the mail's Message-ID."""

    notification_id: str
    message_id: str


class NotificationFailed(
    CorrespondenceEvent, frozen=True, kw_only=True, tag="oms.notifications.failed.v1"
):
    """The mail server refused for good, or the address is none. ``reason`` holds no address."""

    notification_id: str
    reason: str


class EndpointEvent(Event, frozen=True, kw_only=True):
    """Something about one webhook endpoint, in the stream of all endpoints."""

    endpoint_id: str

    @property
    def subject(self) -> str:
        return ENDPOINTS

    @property
    def key(self) -> str:
        return self.endpoint_id


class EndpointRegistered(
    EndpointEvent, frozen=True, kw_only=True, tag="oms.notifications.endpoint_registered.v1"
):
    """A webhook endpoint wants events of ``types`` (all when empty) from now on.

    Private, because addresses of webhooks often hold a token. The signing secret is in no event: it
    is derived from the service's key and the endpoint's id.
    """

    private: ClassVar[bool] = True

    url: str
    types: tuple[str, ...]


class EndpointDisabled(
    EndpointEvent, frozen=True, kw_only=True, tag="oms.notifications.endpoint_disabled.v1"
):
    """The endpoint said that it is gone (410): it gets nothing more."""

    reason: str


class EndpointRemoved(
    EndpointEvent, frozen=True, kw_only=True, tag="oms.notifications.endpoint_removed.v1"
):
    """A person took the endpoint away."""

    actor: str


class WebhookQueued(
    EndpointEvent, frozen=True, kw_only=True, tag="oms.notifications.webhook_queued.v1"
):
    """An event is to be delivered to one endpoint.

    ``webhook_id`` stays the same over all retries; ``sequence`` counts an endpoint's webhooks from
    1; ``payload`` is the event's JSON as it is sent, so that the log alone can send it again.
    """

    private: ClassVar[bool] = True

    webhook_id: str
    sequence: int
    event_id: str
    event_type: str
    payload: msgspec.Raw


class WebhookEvent(Event, frozen=True, kw_only=True):
    """How one delivery to one endpoint ended: stream ``webhook-<webhook_id>``."""

    private: ClassVar[bool] = True

    webhook_id: str
    endpoint_id: str

    @property
    def subject(self) -> str:
        return f"webhook-{self.webhook_id}"

    @property
    def key(self) -> str:
        return self.endpoint_id


class WebhookDelivered(
    WebhookEvent, frozen=True, kw_only=True, tag="oms.notifications.webhook_delivered.v1"
):
    """The endpoint answered 2xx."""

    status: int


class WebhookFailed(
    WebhookEvent, frozen=True, kw_only=True, tag="oms.notifications.webhook_failed.v1"
):
    """It will not be delivered: the endpoint is gone or was taken away."""

    reason: str
