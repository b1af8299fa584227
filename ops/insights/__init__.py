"""Checking the insights: a recount of the topics by other means, compared with what the service says."""
