"""The returns service: what may come back, what came back, and what became of it."""
