"""Payments.

The provider port, its HTTP and in-process adapters, and a fake provider with its own ledger.
"""

from shared.payments.client import HttpPayments
from shared.payments.faults import Faults, FaultSettings
from shared.payments.inprocess import InProcessPayments
from shared.payments.ledger import LedgerReader
from shared.payments.port import (
    Authorised,
    Captured,
    CredentialsRejected,
    Declined,
    IdempotencyMismatch,
    InvalidRequest,
    Money,
    Outcome,
    PaymentError,
    PaymentProvider,
    ProviderUnavailable,
    Refunded,
    Refused,
    Voided,
)
from shared.payments.rules import Entry

__all__ = [
    "Authorised",
    "Captured",
    "CredentialsRejected",
    "Declined",
    "Entry",
    "FaultSettings",
    "Faults",
    "HttpPayments",
    "IdempotencyMismatch",
    "InProcessPayments",
    "InvalidRequest",
    "LedgerReader",
    "Money",
    "Outcome",
    "PaymentError",
    "PaymentProvider",
    "ProviderUnavailable",
    "Refunded",
    "Refused",
    "Voided",
]
