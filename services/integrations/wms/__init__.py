"""Fulfillments in external warehouses, where people look: a list, and each one's state."""
