"""The payment port on Stripe: PaymentIntents with manual capture, refunds, signed webhooks.

`adapter.py` makes the calls, `meaning.py` says what Stripe's objects and errors are to the port, `amounts.py` converts
money, `webhooks.py` reads what Stripe reports by itself.
"""

from shared.payments.stripe.adapter import StripePayments
from shared.payments.stripe.webhooks import Settled, WebhookRefused, read_webhook

__all__ = ["Settled", "StripePayments", "WebhookRefused", "read_webhook"]
