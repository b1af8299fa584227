from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from benchmarks import figures, table
from benchmarks.__main__ import arguments
from benchmarks.figures import (
    BY_NAME,
    NAMES,
    SCENARIOS,
    Figure,
    figure,
    meets,
    merged,
    read,
    selected,
    write,
)
from benchmarks.table import number, target

STATED = [
    "journey_orders_per_s",
    "journey_with_views_orders_per_s",
    "post_orders_per_s_c1",
    "post_orders_per_s_c16",
    "post_orders_per_s_c64",
    "post_latency_ms_p99_c64",
    "confirm_latency_ms_p50",
    "confirm_latency_ms_p99",
    "refold_events_per_s",
    "rebuild_events_per_s",
    "overload_goodput_ratio",
    "overload_normal_after_s",
    "service_rss_mb_max",
    "database_bytes_per_order",
]


def test_the_names_are_those_that_are_stated() -> None:
    assert list(NAMES) == STATED
    assert {d.scenario for d in figures.DEFINITIONS} == set(SCENARIOS)


def test_the_ratio_is_value_over_floor_and_both_are_rounded() -> None:
    found = figure("journey_orders_per_s", 1234.4, 2469.0, orders=20_000)
    assert (found.value, found.floor, found.ratio) == (1234, 2469, 0.5)
    assert found.unit == "orders/s"
    assert found.details == {"orders": 20_000}
    assert figure("confirm_latency_ms_p50", 41.237).value == 41.24


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_measurement_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="journey_orders_per_s: the value"):
        figure("journey_orders_per_s", value)
    with pytest.raises(ValueError, match="journey_orders_per_s: the floor"):
        figure("journey_orders_per_s", 1.0, value)


def test_a_figure_meets_its_target_from_its_side() -> None:
    assert meets(figure("journey_orders_per_s", 1000)) is True
    assert meets(figure("journey_orders_per_s", 999)) is False
    assert meets(figure("confirm_latency_ms_p50", 60)) is True
    assert meets(figure("confirm_latency_ms_p50", 60.01)) is False
    assert meets(figure("post_orders_per_s_c64", 500, 500)) is True
    assert meets(figure("post_orders_per_s_c64", 500, 600)) is False
    assert meets(figure("post_orders_per_s_c64", 500)) is False
    assert meets(figure("database_bytes_per_order", 50_000)) is None


def test_the_file_is_a_list_of_objects_with_these_members(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    write(path, [figure("refold_events_per_s", 60_000), figure("post_orders_per_s_c1", 800, 400)])
    refold, post = msgspec.json.decode(path.read_bytes())
    assert set(refold) == {"name", "value", "unit", "floor", "ratio", "details", "run"}
    assert (refold["floor"], refold["ratio"]) == (None, None)
    assert (post["name"], post["value"], post["unit"]) == ("post_orders_per_s_c1", 800, "orders/s")
    assert (post["floor"], post["ratio"]) == (400, 2)


def test_a_run_replaces_what_it_measured_and_keeps_the_rest_in_order(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    assert read(path) == []
    write(path, [figure("refold_events_per_s", 1), figure("journey_orders_per_s", 1)])
    write(path, merged(read(path), [figure("journey_orders_per_s", 2)]))
    assert [(f.name, f.value) for f in read(path)] == [
        ("journey_orders_per_s", 2),
        ("refold_events_per_s", 1),
    ]


def test_a_file_that_is_none_of_ours_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "bench.json"
    path.write_text('{"something": "else"}')
    assert read(path) == []


def test_only_takes_figures_and_scenarios() -> None:
    assert selected([]) == set(NAMES)
    assert selected(["refold_events_per_s"]) == {"refold_events_per_s"}
    assert selected(["latency", "journey_orders_per_s"]) == {
        "confirm_latency_ms_p50",
        "confirm_latency_ms_p99",
        "journey_orders_per_s",
    }
    with pytest.raises(
        ValueError, match="--only speed: no such figure or scenario; there are journey"
    ):
        selected(["speed"])


@pytest.mark.parametrize(
    "argv", [["--only", "speed"], ["--orders", "0"], ["--orders", "many"], ["x"]]
)
def test_arguments_that_cannot_be_understood_end_with_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(argv)
    assert ended.value.code == 2
    assert "usage: oms bench" in capsys.readouterr().err


def test_arguments() -> None:
    found = arguments(["--only", "posts", "--orders", "500", "--quick", "--json"])
    assert "post_orders_per_s_c1" in found.wanted
    assert (found.orders, found.quick, found.json) == (500, True, True)


def test_targets_and_numbers_as_people_read_them() -> None:
    assert target("journey_orders_per_s") == "≥ 1,000"
    assert target("confirm_latency_ms_p50") == "≤ 60.0"
    assert target("post_orders_per_s_c64") == "≥ 1 x floor"
    assert target("database_bytes_per_order") == ""
    assert [number(x) for x in (None, 12345.6, 9.87, 0.784)] == ["", "12,346", "9.9", "0.78"]


def test_the_tables_fit_a_terminal_of_80_columns() -> None:
    points = {"p50": 1.0, "p95": 2.0, "p99": 33.3, "max": 444.4}
    run = {"cores": 2, "cpu": "a processor", "memory_gb": 8.0, "system": "Linux 6 x86_64"}
    found = [
        Figure(
            name=n, value=1_234_567.0, unit=BY_NAME[n].unit, floor=2_345_678.0, ratio=12.34, run=run
        )
        for n in NAMES
    ]
    extra = {
        "post_orders_per_s_c64": {"latency_ms": points, "floor_latency_ms": points},
        "service_rss_mb_max": {"by_scenario": {"views": {"order": 99.0}, "posts": {}}},
        "database_bytes_per_order": {"by_database": {"views": {"order": 12_345.0}}},
    }
    told = [msgspec.structs.replace(f, details=extra.get(f.name, {})) for f in found]
    told = [f for f in told if f.name not in ("post_orders_per_s_c1", "post_orders_per_s_c16")]
    console = Console(width=80, record=True, file=StringIO())
    console.print(table.figures(told))
    for one in table.details(told):
        console.print(one)
    text = console.export_text()
    assert "…" not in text
    assert all(f.name in text for f in told)
    assert "444.4" in text
    assert "12,345" in text
