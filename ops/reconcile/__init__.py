"""``oms reconcile``: proves from the logs that nothing was oversold and no cent was lost, or names what broke it."""

from ops.reconcile.postgres import CannotRead
from ops.reconcile.report import Report, Violation
from ops.reconcile.run import judge, reconcile
from ops.reconcile.sources import PaymentsSource, SinkSource, Sources, sources_of

__all__ = [
    "CannotRead",
    "PaymentsSource",
    "Report",
    "SinkSource",
    "Sources",
    "Violation",
    "judge",
    "reconcile",
    "sources_of",
]
