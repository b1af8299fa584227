"""Answers of the broker to a request for topics."""

import pytest

from ops.stack import StackError, create_database
from ops.stack.topics import _created, _is_led


def test_new_topics_are_returned_and_existing_ones_are_fine() -> None:
    answer = [("b", 0, None), ("a", 0, None), ("old", 36, "Topic 'old' already exists.")]

    assert _created("broker:1", answer) == ["a", "b"]


def test_every_refused_topic_is_named_with_its_reason() -> None:
    answer = [("a", 0, None), ("b c", 17, "illegal character"), ("d", 38, None)]

    with pytest.raises(
        StackError, match=r"broker:1: b c: illegal character; d: InvalidReplication"
    ):
        _created("broker:1", answer)


def test_a_topic_without_leader_is_not_ready() -> None:
    partition = {"error_code": 0, "leader": 1}

    assert _is_led({"error_code": 0, "partitions": [partition]})
    assert not _is_led({"error_code": 3, "partitions": []})
    assert not _is_led(
        {"error_code": 0, "partitions": [partition, {"error_code": 0, "leader": -1}]}
    )


@pytest.mark.parametrize("name", ["", "Order", "a-b", "1a", "x" * 60, 'a"; DROP DATABASE b'])
def test_a_service_name_that_is_no_identifier_is_refused(name: str, tmp_path: object) -> None:
    with pytest.raises(StackError, match="must match"):
        create_database("postgresql://127.0.0.1:1", name, tmp_path)  # type: ignore[arg-type]
