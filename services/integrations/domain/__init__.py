"""Pure deciders: what goes on to the order service, what is kept for a person."""
