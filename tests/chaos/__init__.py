"""Chaos on the real stack: load goes on while everything under it fails. See the README beside."""
