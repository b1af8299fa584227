"""The returns deciders: one return, and what may still come back of one order."""
