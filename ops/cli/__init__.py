"""The ``oms`` command line."""

from ops.cli.app import main

__all__ = ["main"]
