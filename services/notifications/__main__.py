"""``python -m services.notifications``: puts the notifications service together and runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Literal

import structlog
from fastapi import APIRouter
from pydantic import Field, IPvAnyNetwork, field_validator

from services.notifications import api
from services.notifications.addresses import Addresses
from services.notifications.directory import Directory
from services.notifications.effects import performers
from services.notifications.handlers import table
from services.notifications.mailer import Mailer
from services.notifications.signing import KEY_LENGTH_MIN, Secrets
from services.notifications.smtp import SmtpPool, Tls
from services.notifications.tracking import ParcelPage
from services.notifications.webhooks import Courier
from shared.service import Pause, Port, Service, ServiceApp, Settings, run
from shared.service.links import TRACKING_KEYS, Links, TrackingKeys
from shared.service.runtime import Runtime, compose

log = structlog.get_logger()


class NotificationsSettings(Settings):
    """The notifications service's settings."""

    service: str = "notifications"
    port: Port = 8105
    gather_s: Pause = 0.1  # nobody waits for it
    mail: Literal["send", "record"] = Field(
        "send", description="record: note which mails are due and send none"
    )
    mail_from: str = Field("Orders <orders@oms.local>", description="From address of all mails")
    smtp_host: str = Field("127.0.0.1", description="Mail server")
    smtp_port: int = Field(8125, ge=1, le=65535, description="Its port")
    smtp_tls: Tls = Field("auto", description="none, auto (STARTTLS if offered), starttls or tls")
    smtp_username: str | None = None
    smtp_password: str | None = Field(None, repr=False)
    smtp_connections: int = Field(8, ge=1, le=64, description="Connections to the mail server")
    tracking_url: str = Field(
        "",
        pattern=r"^(https?://[^\s?#]+)?$",
        description="The views' address as customers reach it; without it mails have no tracking link",
    )
    tracking_keys: TrackingKeys = Field({}, repr=False, description=TRACKING_KEYS)
    webhook_key: str = Field(
        "",
        repr=False,
        description=f"secret of {KEY_LENGTH_MIN} or more characters; without it webhooks are off",
    )

    webhook_networks: tuple[IPvAnyNetwork, ...] = Field(
        (),
        description="JSON list of networks inside that webhooks may go to all the same; "
        '["127.0.0.0/8"] for receivers on this machine',
    )

    @field_validator("mail_from")
    @classmethod
    def _mail_from_is_an_address(cls, value: str) -> str:
        sender(value)
        return value

    @field_validator("webhook_key")
    @classmethod
    def _key_is_long(cls, value: str) -> str:
        if value and len(value) < KEY_LENGTH_MIN:
            raise ValueError(f"has fewer than {KEY_LENGTH_MIN} characters")
        return value


def sender(text: str) -> Address:
    """The address in ``Name <local@domain>``; raises ValueError."""
    name, spec = parseaddr(text)
    if "@" not in spec:
        raise ValueError("is no address of the form Name <local@domain>")
    try:
        return Address(name, addr_spec=spec)
    except Exception as error:  # the parser raises its own kinds, and IndexError
        raise ValueError(f"is no address: {error}") from error


@asynccontextmanager
async def service(settings: NotificationsSettings) -> AsyncIterator[Service]:
    """The notifications service, connected."""
    secrets = Secrets(settings.webhook_key) if settings.webhook_key else None
    directory = Directory()
    addresses = Addresses(settings.webhook_networks)
    courier = None if secrets is None else Courier(directory.find, secrets, addresses=addresses)
    if courier is None:
        log.info("webhooks_off", next="set OMS_WEBHOOK_KEY to sign and send webhooks")
    pool = SmtpPool(
        settings.smtp_host,
        settings.smtp_port,
        connections=settings.smtp_connections,
        tls=settings.smtp_tls,
        # Set and empty is not set: a manifest names the variables also where the server asks nobody.
        username=settings.smtp_username or None,
        password=settings.smtp_password or None,
    )

    def routes(runtime: Runtime, _: ServiceApp) -> APIRouter:
        directory.attach(runtime.writer)
        return api.routes(runtime, secrets, addresses)

    decides = table(send=settings.mail == "send", webhooks=secrets is not None)
    page = ParcelPage(settings.tracking_url, Links(settings.tracking_keys))
    mailer = Mailer(pool, sender(settings.mail_from), page.link_to)
    try:
        async with compose(settings, decides, routes, performers(mailer, courier)) as composed:
            yield composed
    finally:
        await pool.close()
        if courier is not None:
            await courier.close()


if __name__ == "__main__":
    run(NotificationsSettings, service)
