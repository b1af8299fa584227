"""What each consumer expects of each producer holds in what the producers really send.

The records are those of two runs of the whole system on the real stack: the demo, and a day of trouble. What the
services read of them was noted while they ran.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import jsonschema
import msgspec
import pytest

from ops.contracts import consumers
from ops.contracts.consumers import WHOLE, Expectations, expectations, handled
from ops.contracts.tables import receivers, sender
from shared.events import PUBLISHED, read_headers
from shared.events.catalogue import route, sequenced_by
from shared.events.schemas import schema_of
from shared.stream.port import Record
from tests.journey import Journey
from tests.journey.overhear import Overheard

BY_TAG = {t.tag(): t for t in PUBLISHED if t.route() is not None}
EXPECTED: Expectations = expectations()
#: Sent only when enough time has passed for a window to close, a channel to fall silent or stock to run low
#: (tests/unit/insights).
ELSEWHERE = {t for t in BY_TAG if t.startswith("oms.insights.")}
PAIRS = [(consumer, t.tag()) for consumer, types in handled().items() for t in types]


@pytest.fixture(scope="module")
def sent(journey: Journey, trouble: Overheard) -> dict[str, list[Record]]:
    """Type → what was sent of it, anywhere."""
    found = defaultdict(list)
    for record in [*journey.heard.records, *trouble.records]:
        found[read_headers(record.headers).type].append(record)
    return found


def test_consumers_claim_what_they_handle_and_what_is_promised() -> None:
    assert consumers.broken() == []


@pytest.mark.parametrize(
    ("claims", "complaint"),
    [
        ({"oms.order.shipped.v1": ["lines[].stock_unit"]}, "there is no field 'stock_unit' in LineQuantity"),
        ({"oms.order.shipped.v1": ["lines.sku"]}, "there is no field 'sku'"),
        ({"oms.order.shipped.v1": ["carrier.name"]}, "there is no field 'name'"),
        ({"oms.order.confirmed.v1": []}, "oms.order.confirmed.v1 is listed and not handled"),
        ({}, "oms.order.shipped.v1 is handled and not listed"),
    ],
)  # fmt: skip
def test_a_claim_that_nobody_keeps_is_named(monkeypatch, claims, complaint) -> None:
    monkeypatch.setattr(consumers, "expectations", lambda: EXPECTED | {"returns": claims})

    assert any(
        line.startswith("services/returns/expects.json: ") and complaint in line
        for line in consumers.broken()
    )


def test_expectations_cover_all_that_was_read(journey: Journey, trouble: Overheard) -> None:
    missing = []
    for heard in (journey.heard, trouble):
        assert heard.reads.keys() >= EXPECTED.keys(), "a service did not tell what it read"
        for consumer in EXPECTED:
            for tag, fields in heard.reads[consumer].items():
                new = set(fields) - set(EXPECTED[consumer].get(tag, []))
                missing += [f"services/{consumer}/expects.json, {tag}: {x}" for x in sorted(new)]
    assert missing == [], "handlers read fields that their service does not claim: add them"


def test_something_was_read_of_nearly_everything(journey: Journey, trouble: Overheard) -> None:
    """The spy works: every pair with fields of its own was noted in one of the runs."""
    read = {
        (consumer, tag)
        for heard in (journey.heard, trouble)
        for consumer, types in heard.reads.items()
        for tag in types
    }
    claimed = {(c, t) for c, t in PAIRS if EXPECTED[c][t] not in ([], [WHOLE])}
    assert sorted(claimed - read) == []


def test_what_is_sent_holds_what_is_expected(sent) -> None:
    checked: Counter[tuple[str, str]] = Counter()
    broken = set()
    for tag, records in sent.items():
        readers = {c: EXPECTED[c][tag] for c in receivers(BY_TAG[tag])}
        optional = _optional(schema_of(BY_TAG[tag]))
        for record in records:
            payload = msgspec.json.decode(record.value)
            for consumer, paths in readers.items():
                checked[consumer, tag] += 1
                broken |= {
                    f"{sender(BY_TAG[tag])} sends {tag} without {path}, which {consumer} reads"
                    for path in paths
                    if path != WHOLE and path not in optional and not _held(payload, path)
                }
    assert broken == set()
    assert set(checked) == set(PAIRS), "not every pair of consumer and type was put to the test"


def test_what_is_sent_fits_the_committed_schema_and_comes_from_its_sender(sent) -> None:
    for tag, records in sent.items():
        message = BY_TAG[tag]
        validator = jsonschema.Draft202012Validator(schema_of(message))
        for record in records:
            envelope = read_headers(record.headers)
            service = envelope.source.removeprefix("/oms/")
            decoded: Any = msgspec.json.decode(record.value, type=message)
            assert validator.is_valid(msgspec.json.decode(record.value)), (tag, record.value)
            assert (record.topic, record.key.decode()) == (route(message, service), decoded.key)
            assert envelope.subject == decoded.subject
            numbered = sequenced_by(record.topic) == service
            assert (envelope.sequence is not None) == numbered, (
                "services with a feed number their records"
            )
            if envelope.source.startswith("/oms/"):
                assert service == sender(message, record.topic), (
                    f"{service} sends {tag}: tell the catalogue"
                )


def test_every_type_that_services_send_was_sent(sent) -> None:
    missing = {t.tag() for t in BY_TAG.values() if t.tag() not in sent and sender(t) != "outside"}
    assert missing - ELSEWHERE == set()


def test_a_field_that_is_not_sent_is_noticed() -> None:
    payload = {"capture": {"amount": 1}, "lines": [{"sku": "x"}, {"sku": "y", "quantity": 1}]}
    assert _held(payload, "lines[].sku")
    assert _held(payload, "capture.amount")
    for path in ("captured", "capture.currency", "lines[].quantity", "lines[].sku.x"):
        assert not _held(payload, path)


def _held(payload: Any, path: str) -> bool:
    """Whether a payload has a field, in every item of every list on the way."""
    step, _, rest = path.partition(".")
    name, many, _ = step.partition("[]")
    if not isinstance(payload, dict) or name not in payload:
        return False
    items = payload[name] if many else [payload[name]]
    return not rest or all(_held(item, rest) for item in items)


def _optional(schema: dict[str, Any]) -> set[str]:
    """Paths of fields that may be left out: readers then take the default."""
    found: set[str] = set()

    def walk(part: dict[str, Any], path: str, missing: bool) -> None:
        for one in part.get("anyOf", [part]):
            here = schema["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one
            if "items" in here:
                walk(here["items"], f"{path}[]", missing)
            for name, field in here.get("properties", {}).items():
                at = f"{path}.{name}".lstrip(".")
                may_miss = missing or name not in here.get("required", ())
                if may_miss:
                    found.add(at)
                walk(field, at, may_miss)

    walk(schema, "", False)
    return found
