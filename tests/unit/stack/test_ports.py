"""Ports: what is free, and what is said when one is not."""

import os
import socket

import pytest

from ops.stack import StackError, ports
from ops.stack.ports import HOST, free_ports, is_open, require_free


def test_free_ports_are_different_and_usable() -> None:
    free = free_ports(5)

    assert len(set(free)) == 5
    for port in free:
        require_free(port, what="test", setting="--x")
        assert not is_open(port)


def test_a_free_port_is_none_that_a_client_may_get() -> None:
    assert all(port < 32_768 for port in free_ports(50))


def test_a_port_that_is_taken_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    [free] = free_ports(1)
    monkeypatch.setattr(ports, "FREE", range(free, free + 1))
    assert free_ports(1) == [free]
    with socket.create_server((HOST, free)), pytest.raises(StackError, match="only 0 are free"):
        free_ports(1)


def test_a_taken_port_names_its_holder_and_the_setting_to_change() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert is_open(port)

        with pytest.raises(StackError) as refused:
            require_free(port, what="Kafka", setting="--kafka-port")

    message = str(refused.value)
    assert f"port {port} for Kafka" in message
    assert f"pid {os.getpid()}" in message
    assert "--kafka-port" in message


def test_a_port_left_in_time_wait_counts_as_free() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)):
            accepted, _ = server.accept()
            accepted.close()  # the server closes first: its side goes to TIME_WAIT

    require_free(port, what="test", setting="--x")
