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

from ops.contracts.consumers import Expectations, check, expectations, find, handled
from ops.contracts.tables import receivers, sender
from shared.events import PUBLISHED, read_headers
from shared.events.schemas import schema_of
from shared.stream.port import Record
from tests.journey import Journey
from tests.journey.overhear import Overheard

BY_TAG = {t.tag(): t for t in PUBLISHED if t.route() is not None}
EXPECTED: Expectations = expectations()
PAIRS = [(consumer, t.tag()) for consumer, types in handled().items() for t in types]


@pytest.fixture(scope="module")
def sent(journey: Journey, trouble: Overheard) -> dict[str, list[Record]]:
    """Type → what was sent of it, anywhere."""
    found = defaultdict(list)
    for record in [*journey.heard.records, *trouble.records]:
        found[read_headers(record.headers).type].append(record)
    return found


@pytest.mark.parametrize("consumer", EXPECTED)
def test_a_consumer_writes_down_what_it_handles_and_nothing_else(consumer) -> None:
    types = [t.tag() for t in handled()[consumer]]
    assert sorted(EXPECTED[consumer]) == types, f"mend services/{consumer}/expects.json"


@pytest.mark.parametrize(("consumer", "tag"), PAIRS)
def test_every_expectation_is_promised_by_the_type(consumer, tag) -> None:
    schema = schema_of(BY_TAG[tag])
    fields = [path for path in EXPECTED[consumer][tag] if path != "*"]
    broken = [f"{path}: {why}" for path in fields if (why := check(schema, path))]
    assert broken == [], f"{consumer} reads of {tag} what {sender(BY_TAG[tag])} does not promise"


def test_expectations_cover_all_that_was_read(journey: Journey, trouble: Overheard) -> None:
    missing = []
    for heard in (journey.heard, trouble):
        assert set(heard.reads) == set(EXPECTED), "a service did not tell what it read"
        for consumer, read in heard.reads.items():
            for tag, fields in read.items():
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
    claimed = {(c, t) for c, t in PAIRS if EXPECTED[c][t] not in ([], ["*"])}
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
                    if path != "*" and path not in optional and not _held(payload, path)
                }
    assert broken == set()
    assert set(checked) == set(PAIRS), "not every pair of consumer and type was put to the test"


def test_what_is_sent_fits_the_committed_schema_and_comes_from_its_sender(sent) -> None:
    for tag, records in sent.items():
        message = BY_TAG[tag]
        validator = jsonschema.Draft202012Validator(schema_of(message))
        for record in records:
            envelope = read_headers(record.headers)
            decoded: Any = msgspec.json.decode(record.value, type=message)
            assert validator.is_valid(msgspec.json.decode(record.value)), (tag, record.value)
            assert (record.topic, record.key.decode()) == (message.route(), decoded.key)
            assert envelope.subject == decoded.subject
            service = envelope.source.removeprefix("/oms/")
            if envelope.sequence is None:
                assert not envelope.source.startswith("/oms/"), "only services number their records"
            else:
                assert service == sender(message), f"{service} sends {tag}: tell the catalogue"


def test_every_type_that_services_send_was_sent(sent) -> None:
    missing = [t.tag() for t in BY_TAG.values() if t.tag() not in sent and sender(t) != "outside"]
    assert missing == []


@pytest.mark.parametrize("path", ["captured", "capture.sum", "lines[].stock_unit"])
def test_a_field_that_a_producer_does_not_promise_is_noticed(path) -> None:
    schema = schema_of(BY_TAG["oms.order.packed.v1"])
    assert "there is no field" in check(schema, path)
    assert not _held({"capture": {"amount": 1}, "lines": [{"sku": "x"}]}, path)


def _held(payload: Any, path: str) -> bool:
    try:
        find(payload, path)
    except KeyError:
        return False
    return True


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
