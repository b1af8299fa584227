"""Shopify's webhooks: orders, cancellations, refunds and fulfillments of a shop (docs/shopify.md)."""
