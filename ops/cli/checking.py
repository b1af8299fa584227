"""Reconciliation of a running system."""

from typing import Any

from ops.cli.client import Running


async def reconcile(running: Running) -> Any:
    from ops.reconcile.report import Tally
    t = Tally(())
    t.not_checked("everything: ops.reconcile is not there yet")
    return t.report(0.0)
