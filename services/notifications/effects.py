"""Who performs which effect of this service."""

from collections.abc import Mapping

import msgspec

from services.notifications.domain.messages import CallWebhook, SendEmail
from services.notifications.mailer import Mailer
from services.notifications.webhooks import Courier
from shared.ledger.effects import Performer


def performers(mailer: Mailer, courier: Courier | None) -> Mapping[type[msgspec.Struct], Performer]:
    """Every effect request with its performer; both answer with internal messages. Without a
    courier, webhooks that are due are parked until there is one."""
    found: dict[type[msgspec.Struct], Performer] = {SendEmail: mailer.perform}
    if courier is not None:
        found[CallWebhook] = courier.perform
    return found
