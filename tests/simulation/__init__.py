"""The whole system under one seed: real services, virtual time, and everything that can go wrong."""
