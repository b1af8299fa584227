"""Which tier of the local stack is tried, and what is said when the choice is impossible."""

import json
from pathlib import Path

import pytest

from ops.stack import StackError, start
from ops.stack import local as local_stack
from ops.stack.docker import DockerUnavailable, require_engine
from tests.unit.stack.engine import engine_without_images


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMS_KAFKA", "OMS_POSTGRES", "OMS_STACK"):
        monkeypatch.delenv(name, raising=False)


def test_containers_come_before_the_embedded_servers() -> None:
    assert local_stack._candidates(None) == ("docker", "embedded")


def test_given_addresses_come_before_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMS_KAFKA", "broker:9092")
    monkeypatch.setenv("OMS_POSTGRES", "postgresql://admin@db")

    assert local_stack._candidates(None) == ("given",)


def test_one_address_without_the_other_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMS_KAFKA", "broker:9092")

    with pytest.raises(StackError, match="OMS_POSTGRES is not set"):
        start(tmp_path)


def test_an_unknown_tier_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"'cloud'.*given, docker, embedded"):
        start(tmp_path, tier="cloud")


def test_a_data_directory_stays_with_the_tier_that_made_it(tmp_path: Path) -> None:
    assert local_stack._chosen(tmp_path) is None

    (tmp_path / "stack.json").write_text(json.dumps({"tier": "embedded"}))
    assert local_stack._chosen(tmp_path) == "embedded"

    (tmp_path / "stack.json").write_text("{")
    assert local_stack._chosen(tmp_path) is None


def test_without_an_engine_the_docker_tier_steps_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")

    with pytest.raises(DockerUnavailable, match=r"absent\.sock"):
        require_engine()
    with pytest.raises(StackError, match=r"no tier .* docker: no container engine"):
        start(tmp_path, tier="docker")


def test_an_engine_that_cannot_get_the_images_is_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with engine_without_images(tmp_path / "engine.sock") as asked:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/engine.sock")
        require_engine()  # it answers

        with pytest.raises(StackError, match=r"no tier .* docker: PostgreSQL .* cannot be started"):
            start(tmp_path / "data", tier="docker", ports=local_stack.Ports.free())

    assert any("/images/" in path for path in asked)
    # The directory is free again, for another try.
    local_stack.lock_file(tmp_path / "data", "stack").close()


def test_ports_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_stack.Ports.from_environment() == local_stack.Ports(8192, 8193, 8132)

    monkeypatch.setenv("OMS_KAFKA_PORT", "9192")
    assert local_stack.Ports.from_environment().kafka == 9192


@pytest.mark.parametrize("said", ["abc", "0", "65536", "-1", "", "²"])
def test_what_is_no_port_is_named(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("OMS_KAFKA_PORT", said)
    with pytest.raises(StackError, match=f"OMS_KAFKA_PORT='{said}' is no port"):
        local_stack.Ports.from_environment()


def test_one_address_without_the_other_is_refused_over_old_data_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "stack.json").write_text('{"tier": "embedded"}')
    monkeypatch.setenv("OMS_POSTGRES", "postgresql://admin@db")
    with pytest.raises(StackError, match="OMS_KAFKA is not set"):
        start(tmp_path)


def test_a_second_stack_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    lock = local_stack.lock_file(tmp_path, "stack")
    try:
        with pytest.raises(StackError, match=r"in use by process \d+: stop it"):
            start(tmp_path)
    finally:
        lock.close()
