"""Pure deciders of the inventory service."""
