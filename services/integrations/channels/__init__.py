"""Adapters: each reads one kind of partner's words, and ends in the same commands."""
