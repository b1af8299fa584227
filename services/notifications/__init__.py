"""Notifications: e-mails to customers and signed webhooks to integrators, each at most once."""
