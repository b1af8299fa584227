"""CloudEvents 1.0: the specification's own conformance samples, read as the Kafka protocol binding maps them.

The JSON samples are put into binary mode: an attribute into its ``ce_`` header, ``datacontenttype`` into
``content-type``. What binary mode cannot say (an attribute that is not text, both kinds of data) is left out, and listed.
"""

from __future__ import annotations

import json
import os
import re
import tarfile
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from shared.events import BadEnvelope, read_headers
from shared.events.envelope import Headers

DATA = Path(os.environ.get("OMS_DATA") or Path(__file__).parents[4] / "shared" / "data")
ARCHIVE = DATA / "messages.tar.xz"
FOLDER = "messages/cloudevents"
pytestmark = pytest.mark.skipif(
    not ARCHIVE.exists(), reason=f"no {ARCHIVE.name} in ../shared/data or OMS_DATA"
)
#: Faults of the JSON format alone: a header has neither objects nor numbers, and a record is one event with one value.
OF_JSON = {
    "invalidNumericId",
    "invalidObjectId",
    "invalidBothDataAndDataBase64",
    "invalidBatchContainingNonObject",
}


def headers_of(event: dict[str, Any]) -> Headers:
    """Binary mode (CloudEvents Kafka protocol binding, section 3.2)."""
    out = []
    for name, value in event.items():
        if value is None or name in ("data", "data_base64"):
            continue
        text = value if isinstance(value, str) else json.dumps(value)
        key = "content-type" if name == "datacontenttype" else f"ce_{name}"
        out.append((key, text.encode()))
    return out


def test_every_valid_sample_is_read() -> None:
    tests = _samples("format/json/valid-events.json")
    batches = _samples("format/json/valid-batches.json")
    events = [t["event"] for t in tests] + [e for t in batches for e in t["batch"]]
    assert len(events) >= 12
    for event in events:
        envelope = read_headers(headers_of(event))
        assert (envelope.id, envelope.type, envelope.source) == (
            event["id"],
            event["type"],
            event["source"],
        )
        assert envelope.subject == (event.get("subject") or "")
        said = event.get("time")
        assert envelope.time == (datetime.fromisoformat(said) if said else None)


def test_every_invalid_sample_is_refused() -> None:
    tests = _samples("format/json/invalid-events.json")
    tests += _samples("format/json/invalid-batches.json")
    sayable = [test for test in tests if test["id"] not in OF_JSON]
    assert len(sayable) >= 24
    for test in sayable:
        events = [test["event"]] if "event" in test else test["batch"]
        with pytest.raises(BadEnvelope):
            list(map(read_headers, map(headers_of, events)))


def test_the_kafka_binding() -> None:
    """Binary mode is read; structured mode is refused with what to send instead."""
    text = _read("features/kafka-protocol-binding.feature").decode()
    scenarios = text.split("Scenario")[1:]
    assert len(scenarios) == 2
    binary, structured = ([_row(line) for line in s.splitlines() if "|" in line] for s in scenarios)
    headers = [(k, v.encode()) for k, v in binary[1:7]]
    envelope = read_headers(headers)
    wanted = dict(row for row in binary[8:])
    assert envelope.id == wanted["id"]
    assert envelope.type == wanted["type"]
    assert envelope.source == wanted["source"]
    assert envelope.time == datetime.fromisoformat(wanted["time"])
    kinds = [row[0] for row in structured if row[0].startswith("application/cloudevents")]
    assert len(kinds) == 2
    for kind in kinds:
        with pytest.raises(BadEnvelope, match="ce_ headers"):
            read_headers([("content-type", kind.encode())])


def _row(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"\|", line.strip())[1:-1]]


def _samples(name: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = json.loads(_read(name))["tests"]
    return tests


@cache
def _read(name: str) -> bytes:
    with tarfile.open(ARCHIVE) as tar:
        member = tar.extractfile(f"{FOLDER}/{name}")
        assert member is not None
        return member.read()
