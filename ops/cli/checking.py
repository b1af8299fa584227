"""``oms reconcile``, and the same after a demo or an import."""

from pathlib import Path

from ops.cli.codes import CliError, Exit
from ops.cli.output import Output
from ops.reconcile import CannotRead, Report, sources_of
from ops.reconcile import reconcile as check

#: How long to wait until what is under way has arrived.
SETTLE_S = 20.0


async def reconcile(data: Path, out: Output) -> Report:
    """Check the invariants from all the services' logs, the provider's ledger and the mail sink; also of a system that
    is stopped. Raises `CliError` when one of them cannot be read."""
    try:
        with out.working("Reconciling the logs, the provider's ledger and the mail sink …"):
            async with sources_of(data) as sources:
                return await check(sources, settle_seconds=SETTLE_S)
    except CannotRead as error:
        raise CliError(Exit.UNAVAILABLE, str(error)) from error


async def command(data: Path, out: Output) -> Exit:
    """Reconcile and show the report."""
    report = await reconcile(data, out)
    out.draw(report)
    out.answer(report.as_json())
    return Exit.OK if report.clean else Exit.PROBLEM
