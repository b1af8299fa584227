"""What stays inside this service: requests of its API, requests of effects and the answers to them.

None of them has a topic: addresses of customers and of endpoints never travel.
"""

from datetime import datetime
from typing import Literal

import msgspec

from shared.events import Command, LineQuantity, Money
from shared.events.notifications import ENDPOINTS, Template


class InternalCommand(Command, frozen=True, kw_only=True):
    """A message of this service to itself."""

    @classmethod
    def route(cls) -> None:
        """No topic."""
        return


class SendEmail(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    tag="oms.notifications.send_email.v1",
):
    """One e-mail to write and hand to the mail server; what a template does not need stays empty.

    ``at`` is when it became due (UTC): with it every attempt produces the same bytes.
    """

    notification_id: str
    order_id: str
    template: Template
    to: str
    name: str
    channel: str
    external_id: str
    at: datetime
    amount: Money | None = None
    reason: str = ""
    carrier: str = ""
    tracking_number: str = ""
    package_id: str = ""
    lines: tuple[LineQuantity, ...] = ()


class MailAnswer(InternalCommand, frozen=True, kw_only=True):
    """What became of one e-mail."""

    order_id: str
    notification_id: str

    @property
    def subject(self) -> str:
        return f"correspondence-{self.order_id}"

    @property
    def key(self) -> str:
        return self.order_id


class MailTaken(MailAnswer, frozen=True, kw_only=True, tag="oms.notifications.mail_taken.v1"):
    """The mail server accepted it under ``message_id``."""

    message_id: str


class MailRefused(MailAnswer, frozen=True, kw_only=True, tag="oms.notifications.mail_refused.v1"):
    """It can never be delivered as it is."""

    reason: str


class CallWebhook(
    msgspec.Struct, frozen=True, kw_only=True, tag="oms.notifications.call_webhook.v1"
):
    """One event to post to one endpoint. The address is looked up at each attempt, so that a
    removed endpoint gets nothing more."""

    webhook_id: str
    endpoint_id: str
    sequence: int
    event_id: str
    event_type: str
    subject: str
    payload: msgspec.Raw


class WebhookAnswer(InternalCommand, frozen=True, kw_only=True):
    """What became of one webhook."""

    webhook_id: str
    endpoint_id: str

    @property
    def subject(self) -> str:
        return f"webhook-{self.webhook_id}"

    @property
    def key(self) -> str:
        return self.endpoint_id


class WebhookAnswered(
    WebhookAnswer, frozen=True, kw_only=True, tag="oms.notifications.webhook_answered.v1"
):
    """The endpoint answered with a final HTTP status: 2xx, or 410 (gone)."""

    status: int


class WebhookAbandoned(
    WebhookAnswer, frozen=True, kw_only=True, tag="oms.notifications.webhook_abandoned.v1"
):
    """There is no endpoint to call any more."""

    reason: Literal["removed", "disabled"]


class EndpointCommand(InternalCommand, frozen=True, kw_only=True):
    """A request about webhook endpoints."""

    @property
    def subject(self) -> str:
        return ENDPOINTS

    @property
    def key(self) -> str:
        return ENDPOINTS


class RegisterEndpoint(
    EndpointCommand, frozen=True, kw_only=True, tag="oms.notifications.register_endpoint.v1"
):
    """Send events of ``types`` (all when empty) to ``url``."""

    endpoint_id: str
    url: str
    types: tuple[str, ...]


class RemoveEndpoint(
    EndpointCommand, frozen=True, kw_only=True, tag="oms.notifications.remove_endpoint.v1"
):
    """Send nothing more to an endpoint."""

    endpoint_id: str


class ReadEndpoints(
    EndpointCommand, frozen=True, kw_only=True, tag="oms.notifications.read_endpoints.v1"
):
    """Decide nothing: the caller wants the state that the writer answers with."""


INTERNAL = (
    MailTaken,
    MailRefused,
    WebhookAnswered,
    WebhookAbandoned,
    RegisterEndpoint,
    RemoveEndpoint,
    ReadEndpoints,
)
