"""The generated documents are those of the code, valid by the standards' own schemas, and true of the messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from ops.contracts import __main__ as documents
from ops.contracts.tables import receivers, sender, services, tables
from shared.events import PUBLISHED, Command, topics
from shared.events.catalogue import FORWARDS
from shared.events.limits import LINES_MAX
from tests import npm

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def committed() -> dict[str, Any]:
    return json.loads((documents.DOCS / "asyncapi.json").read_bytes())


@pytest.fixture(scope="module")
def standard(tmp_path_factory: pytest.TempPathFactory) -> jsonschema.Draft7Validator:
    """AsyncAPI's own JSON Schema of version 3.0 documents."""
    modules = npm.install(HERE, tmp_path_factory.mktemp("asyncapi"))
    schema = modules / "@asyncapi/specs/schemas/3.0.0-without-$id.json"
    return jsonschema.Draft7Validator(json.loads(schema.read_bytes()))


def test_the_committed_documents_are_those_of_the_code() -> None:
    assert list(documents.drift(documents.files())) == [], "run: python -m ops.contracts"


def test_drift_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "openapi").mkdir()
    (tmp_path / "asyncapi.json").write_bytes(b"{}\n")
    (tmp_path / "openapi/gone.json").write_bytes(b"{}\n")
    monkeypatch.setattr(documents, "DOCS", tmp_path)
    wanted = {tmp_path / "asyncapi.json": b"{1}\n", tmp_path / "openapi/new.json": b"{}\n"}

    changed = [Path(name).name for name in documents.drift(wanted)]

    assert changed == ["asyncapi.json", "gone.json", "new.json"]


def test_the_topics_are_valid_asyncapi(committed, standard) -> None:
    assert [e.message for e in standard.iter_errors(committed)] == []


def test_the_standard_would_refuse_another_document(committed, standard) -> None:
    channel = committed["channels"]["oms.order.events"]
    for wrong in (
        {**committed, "asyncapi": "3"},
        {**committed, "channels": {"x": channel | {"address": 5}}},
    ):
        assert not standard.is_valid(wrong)


def test_every_reference_leads_somewhere(committed) -> None:
    found = list(_references(committed))
    assert len(found) > len(PUBLISHED)
    for reference in found:
        place = committed
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_examples_fit_their_own_schemas(committed) -> None:
    for name, message in committed["components"]["messages"].items():
        [example] = message["examples"]
        for part, schema in (
            (example["payload"], message["payload"]),
            (example["headers"], message["headers"]),
        ):
            validator = jsonschema.Draft7Validator(
                {**schema, "components": committed["components"]}
            )
            assert [e.message for e in validator.iter_errors(part)] == [], name


def test_every_message_that_travels_is_told_with_who_sends_and_who_receives_it(committed) -> None:
    sent: dict[str, set[str]] = {}
    received: dict[str, set[str]] = {}
    for name, operation in committed["operations"].items():
        who = name.partition(".")[0]
        side = sent if operation["action"] == "send" else received
        for message in operation["messages"]:
            side.setdefault(message["$ref"].rpartition("/")[2], set()).add(who)
    for t in PUBLISHED:
        if t.route() is None:
            assert t.tag() not in sent
            continue
        passed_on = {"integrations"} if t in FORWARDS else set()
        assert sent[t.tag()] - passed_on == {sender(t)}
        assert received.get(t.tag(), set()) == set(receivers(t))


def test_every_command_is_received_by_the_service_that_it_is_addressed_to() -> None:
    commands = [t for topic in topics() for t in topic.types if issubclass(t, Command)]
    assert [t.tag() for t in commands if not receivers(t)] == []


def test_every_service_with_handlers_is_found() -> None:
    assert {"order", "inventory", "fulfillment", "returns", "notifications", "views"} <= set(
        tables()
    )
    assert set(tables()) <= set(services())


@pytest.mark.parametrize("service", services())
def test_the_http_api_is_valid_openapi(service) -> None:
    document = json.loads((documents.DOCS / f"openapi/{service}.json").read_bytes())
    assert document["openapi"].startswith("3.1")
    assert [e.message for e in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert document["paths"]


@pytest.mark.parametrize("service", services())
def test_an_order_s_lines_fit_into_every_request_about_them(service) -> None:
    schemas = json.loads((documents.DOCS / f"openapi/{service}.json").read_bytes())["components"]
    limits = {
        name: schema["properties"]["lines"].get("maxItems", LINES_MAX)
        for name, schema in schemas["schemas"].items()
        if name.endswith("In")
        and schema.get("properties", {}).get("lines", {}).get("type") == "array"
    }
    assert {name: limit for name, limit in limits.items() if limit < LINES_MAX} == {}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)
