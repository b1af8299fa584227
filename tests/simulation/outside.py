"""What is not ours: the payment provider, the mail server, an endpoint for webhooks. They outlive every crash."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from email.headerregistry import Address
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec
from aiosmtplib import SMTPResponseException, SMTPServerDisconnected

from services.notifications.domain.messages import CallWebhook, SendEmail, WebhookAnswered
from services.notifications.mail import Letter
from services.notifications.mailer import Mailer
from services.notifications.smtp import SmtpPool
from services.order.effects import performers as payment_performers
from shared.events import Command
from shared.ledger.effects import Performer, TryAgain
from shared.payments import InProcessPayments
from shared.payments.faults import NO_FAULT, Fault, Faults
from shared.payments.port import PaymentProvider
from tests.simulation.loop import RUNNING
from tests.unit.reconcile.world import Sunk

if TYPE_CHECKING:
    from tests.simulation.chaos import Chaos
    from tests.simulation.world import World

T = TypeVar("T")
PATIENCE_SECONDS = 2.0


class ProviderFaults(Faults):
    """What befalls requests to the provider."""

    def __init__(self, chaos: Chaos) -> None:
        super().__init__()
        self._chaos = chaos

    def draw(self) -> Fault:
        strikes = self._chaos.strikes
        slow = strikes("provider_slow", 0.05)
        late = slow.uniform(0.5, 12.0) if slow else 0.02
        if strikes("provider_error", 0.05):
            return Fault(late, "error")
        if strikes("provider_lost_before", 0.03):
            return Fault(late, "lost_before")
        if strikes("provider_lost_after", 0.05):
            return Fault(late, "lost_after")
        return Fault(late) if slow else NO_FAULT


class Provider:
    """Calls to the provider go on when their caller dies."""

    def __init__(self, world: World, payments: InProcessPayments) -> None:
        self._world = world
        self._payments = payments

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        call = getattr(self._payments, name)

        async def called(*args: Any) -> Any:
            return await detached(self._world, call(*args))

        return called


async def detached(world: World, call: Coroutine[Any, Any, T]) -> T:
    """Wait for something that nobody's death ends."""
    context = contextvars.copy_context()
    context.run(RUNNING.set, None)
    task = world.loop.create_task(call, context=context)
    task.add_done_callback(lambda t: t.cancelled() or t.exception())
    return await asyncio.shield(task)


class MailServer:
    """Takes letters as `SmtpPool` hands them over, and keeps one for each Message-ID, as a mail store does."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.sink: dict[str, Sunk] = {}
        self._content: dict[str, bytes] = {}

    async def send(self, sender: str, letter: Letter) -> None:
        strikes = self._world.chaos.strikes
        slow = strikes("mail_slow", 0.05)
        await asyncio.sleep(slow.uniform(1.0, 25.0) if slow else 0.01)
        if strikes("mail_busy", 0.05):
            raise SMTPResponseException(451, "try again later")
        if letter.recipient.startswith("nobody"):
            raise SMTPResponseException(550, "no such user")
        self._take(letter)
        if strikes("mail_lost_after", 0.05):
            raise SMTPServerDisconnected("the connection was lost")

    def _take(self, letter: Letter) -> None:
        id = letter.message_id.strip("<>")
        content = blake2b(letter.content, digest_size=16).digest()
        if self._content.setdefault(id, content) != content:
            self._world.violation(f"the mail {id} was sent twice with different contents")
        self.sink.setdefault(id, Sunk(id, letter.recipient, self._world.now))


class Endpoint:
    """A shop system that listens to webhooks. It knows a delivery by its id."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.got: dict[str, bytes] = {}

    async def perform(self, call: CallWebhook, _: str) -> Command:
        await asyncio.sleep(0.01)
        if self._world.chaos.strikes("webhook_down", 0.05):
            raise TryAgain("the endpoint does not answer")
        payload = bytes(call.payload)
        if self.got.setdefault(call.webhook_id, payload) != payload:
            self._world.violation(f"webhook {call.webhook_id} was sent with different contents")
        return WebhookAnswered(webhook_id=call.webhook_id, endpoint_id=call.endpoint_id, status=204)


def performers(
    world: World, payments: InProcessPayments, mail: MailServer, endpoint: Endpoint
) -> dict[str, dict[type[msgspec.Struct], Performer]]:
    """What performs each service's effects."""
    mailer = Mailer(cast(SmtpPool, mail), Address("Orders", "orders", "oms.local"))
    provider = cast(PaymentProvider, Provider(world, payments))
    return {
        "order": dict(payment_performers(provider)),
        "notifications": {SendEmail: mailer.perform, CallWebhook: endpoint.perform},
    }
