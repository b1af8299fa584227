"""What every service process needs: settings, lifecycle, HTTP edge, security and telemetry.

The names below are the interface for service authors; everything else is detail.
"""

from shared.service.fields import (
    CurrencyCode,
    Identifier,
    Input,
    MinorUnits,
    Name,
    OptionalIdentifier,
    OptionalText,
    Position,
    Quantity,
    Sku,
    Text,
    Timestamp,
)
from shared.service.hot import Call, Reply
from shared.service.http import ServiceApp, create_app, router
from shared.service.idempotency import IdempotencyKey, idempotency
from shared.service.lifecycle import Service, run
from shared.service.problems import FieldError, Problem
from shared.service.security import Keyring, Principal, Role, require
from shared.service.settings import Pause, Port, Settings, load_settings
from shared.service.tasks import Handle, Task
from shared.service.telemetry import Trace, bind, current

__all__ = [
    "Call",
    "CurrencyCode",
    "FieldError",
    "Handle",
    "IdempotencyKey",
    "Identifier",
    "Input",
    "Keyring",
    "MinorUnits",
    "Name",
    "OptionalIdentifier",
    "OptionalText",
    "Pause",
    "Port",
    "Position",
    "Principal",
    "Problem",
    "Quantity",
    "Reply",
    "Role",
    "Service",
    "ServiceApp",
    "Settings",
    "Sku",
    "Task",
    "Text",
    "Timestamp",
    "Trace",
    "bind",
    "create_app",
    "current",
    "idempotency",
    "load_settings",
    "require",
    "router",
    "run",
]
