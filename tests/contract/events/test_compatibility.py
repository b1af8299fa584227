"""Changes of the published language, made to a copy of its source: which of them the check lets through."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from tests.contract.events import golden

ROOT = Path(__file__).parents[3]


class Source:
    """A copy of `shared.events` that may be edited, with its committed schemas."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(ROOT / "shared/events", root / "shared/events")
        (root / "shared/__init__.py").touch()

    def edit(self, module: str, old: str, new: str) -> Source:
        """Replace the one place that reads ``old``."""
        path = self.root / "shared/events" / module
        text = path.read_text()
        assert text.count(old) == 1, f"{module} reads {old!r} {text.count(old)} times"
        path.write_text(text.replace(old, new))
        return self

    @contextmanager
    def imported(self) -> Iterator[None]:
        """Inside, ``import shared`` means the copy: a process for each edit would take a minute for all of them."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [n for n in sys.modules if n.partition(".")[0] == "shared"]:
                patch.delitem(sys.modules, name)
            patch.syspath_prepend(self.root)
            patch.setattr(sys, "dont_write_bytecode", True)
            try:
                yield
            finally:
                for name in [n for n in sys.modules if n.partition(".")[0] == "shared"]:
                    del sys.modules[name]

    def schemas(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of ``python -m shared.events.schemas``."""
        said = StringIO()
        with self.imported(), pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
            patch.setattr(sys, "argv", ["schemas", *arguments])
            status = importlib.import_module("shared.events.schemas").main()
        return status, said.getvalue()

    def files(self) -> dict[str, bytes]:
        """The schemas of the copy."""
        folder = self.root / "shared/events/schemas"
        return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.json")}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


COMPLETED = '''class OrderCompleted(OrderEvent, frozen=True, kw_only=True, tag="oms.order.completed.v1"):
    """Everything that was to be sent has arrived and is paid."""
'''
REASONS = 'Literal["out_of_stock", "unknown_sku", "payment_declined", "invalid", "expired"]'

BREAKING = {
    "a renamed field": (
        "order.py",
        "    capture: Money\n",
        "    to_capture: Money\n",
        "oms.order.packed.v1: capture: the field was removed or renamed",
    ),
    "a removed field": (
        "order.py",
        "    refund: Money\n",
        "",
        "oms.order.return_accepted.v1: refund: the field was removed or renamed",
    ),
    "a narrowed type": (
        "message.py",
        "exact_unit_price: str | None = None",
        'exact_unit_price: str = ""',
        "oms.order.placed.v1: lines[].exact_unit_price: narrowed, null is no longer accepted",
    ),
    "text narrowed to a list": (
        "order.py",
        "    note: str\n",
        '    note: Literal["good", "bad"]\n',
        "oms.order.hold_released.v1: note: narrowed to the values ['bad', 'good']",
    ),
    "another type": (
        "inventory.py",
        "    open_units: int\n    release_id",
        "    open_units: str\n    release_id",
        "oms.inventory.reservation_released.v1: open_units: the type was integer, is string",
    ),
    "a removed event": (
        "order.py",
        COMPLETED,
        "",
        "oms.order.completed.v1: the type was removed, and no upcaster reads its messages",
    ),
    "an event that is kept back": (
        "order.py",
        COMPLETED,
        f"{COMPLETED}\n    private = True\n",
        "oms.order.completed.v1: the type was removed",
    ),
    "a value taken out of an enum": (
        "order.py",
        REASONS,
        REASONS.replace(', "expired"', ""),
        "oms.order.rejected.v1: reason: the value 'expired' was removed",
    ),
    "a value put into an enum": (
        "order.py",
        REASONS,
        REASONS.replace("]", ', "fraud"]'),
        "oms.order.rejected.v1: reason: the value 'fraud' was added",
    ),
    "a new field without a default": (
        "returns.py",
        "    amount: Money\n",
        "    amount: Money\n    paid_by: str\n",
        "oms.returns.settled.v1: paid_by: a new field without a default",
    ),
    "a field that may be missing now": (
        "order.py",
        "    placed_at: Instant\n",
        "    placed_at: Instant | None = None\n",
        "oms.order.placed.v1: placed_at: was always there, is optional now",
    ),
    "a field that may not be missing any more": (
        "fulfillment.py",
        '    pick_id: str = ""\n\n\nclass PackItems',
        "    pick_id: str\n\n\nclass PackItems",
        "oms.fulfillment.pick.v1: pick_id: was optional, is required now",
    ),
    "another default": (
        "order.py",
        '    reason: str = "customer"',
        '    reason: str = "unknown"',
        "oms.channel.cancel_order.v1: reason: the default changed",
    ),
    "another topic": (
        "order.py",
        'return "oms.channel.orders"',
        'return "oms.channel.requests"',
        "oms.channel.place_order.v1: the topic was oms.channel.orders, is oms.channel.requests",
    ),
}


@pytest.mark.parametrize("change", BREAKING)
def test_a_breaking_change_is_named_and_written_nowhere(source: Source, change: str) -> None:
    module, old, new, complaint = BREAKING[change]
    before = source.edit(module, old, new).files()

    for arguments in ([], ["--check"]):
        status, said = source.schemas(*arguments)

        assert status == 1
        assert f"breaking change: {complaint}" in said
        assert "upcaster from the version before: docs/contracts.md" in said
        assert source.files() == before


def test_the_command_of_the_check_fails(source: Source) -> None:
    module, old, new, complaint = BREAKING["a renamed field"]
    source.edit(module, old, new)

    told = subprocess.run(
        [sys.executable, "-m", "shared.events.schemas", "--check"],
        cwd=source.root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 1
    assert complaint in told.stdout


HINT = ("order.py", '    detail: str = ""\n', '    detail: str = ""\n    hint: str = ""\n')
ARCHIVED = COMPLETED.replace("Completed", "Archived").replace("completed", "archived")
ADDITIVE = {
    "a new optional field": HINT,
    "a new optional field of a part": (
        "message.py",
        "    currency: str\n",
        "    currency: str\n    exponent: int = 2\n",
    ),
    "a new event": ("order.py", COMPLETED, f"{COMPLETED}\n\n{ARCHIVED}"),
}


@pytest.mark.parametrize("change", ADDITIVE)
def test_an_additive_change_is_recorded_and_passes(source: Source, change: str) -> None:
    before = source.files()
    source.edit(*ADDITIVE[change])

    status, said = source.schemas("--check")
    assert (status, "run: python -m shared.events.schemas" in said) == (1, True)
    assert source.schemas() == (0, "")
    assert source.schemas("--check") == (0, "")

    after = source.files()
    for name in before:  # what was shipped is kept, under its own name or among the superseded
        old = after.get(f"superseded/{name.removesuffix('.json')}.r1.json", after[name])
        assert old == before[name]


def test_all_earlier_schemas_count_and_not_only_the_last(source: Source) -> None:
    source.edit(*HINT)
    assert source.schemas() == (0, "")
    source.edit("order.py", '    hint: str = ""\n', '    hint: str = ""\n    note: int = 0\n')
    assert source.schemas() == (0, "")
    folder = source.root / "shared/events/schemas"
    newest = folder / "oms.order.rejected.v1.json"
    newest.write_bytes((folder / "superseded/oms.order.rejected.v1.r1.json").read_bytes())
    source.edit("order.py", '    hint: str = ""\n', "    hint: int = 0\n")

    _, said = source.schemas("--check")

    assert "hint: the type was string, is integer (shipped as oms.order.rejected.v1.r2" in said


def test_a_new_version_with_an_upcaster_passes_and_reads_the_old_bytes(source: Source) -> None:
    source.edit("order.py", "    capture: Money\n", "    to_capture: Money\n")
    source.edit("order.py", '"oms.order.packed.v1"', '"oms.order.packed.v2"')
    source.edit(
        "codec.py",
        "UPCASTERS: dict[str, Upcaster] = {}",
        "UPCASTERS: dict[str, Upcaster] = {\n"
        '    "oms.order.packed.v1": lambda old: {\n'
        '        **old, "type": "oms.order.packed.v2", "to_capture": old["capture"]\n'
        "    }\n"
        "}",
    )
    [recorded] = golden.revisions("oms.order.packed.v1")

    assert source.schemas() == (0, "")
    assert source.schemas("--check") == (0, "")
    with source.imported():
        codec = importlib.import_module("shared.events.codec")
        message = codec.decode("oms.order.packed.v1", golden.read(recorded).payload)

    assert (message.to_capture.amount, message.to_capture.currency) == (7, "currency-1")
    assert "oms.order.packed.v1.json" in source.files()
