"""Every message ever shipped stays readable, and today's types still write the same bytes."""

import shutil

import jsonschema
import pytest

from shared.events import PUBLISHED, decode, read_headers
from shared.events.codec import COMMANDS, EVENTS, UPCASTERS
from shared.events.samples import sample_of
from shared.events.schemas import NEXT, Shipped, schema_of
from tests.contract.events import golden

GOLDEN = sorted(golden.FOLDER.glob("*.record"))
RECORD = "run: python -m tests.contract.events.golden"
BY_TAG = {t.tag(): t for t in PUBLISHED}


def test_every_type_has_golden_bytes() -> None:
    assert [tag for tag in BY_TAG if not golden.revisions(tag)] == [], RECORD


def test_nothing_else_lies_among_them() -> None:
    known = EVENTS.keys() | COMMANDS.keys() | UPCASTERS.keys()
    assert [p.name for p in golden.FOLDER.iterdir() if golden.tag_of(p) not in known] == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_bytes_are_read_and_written_back(path) -> None:
    tag, record = golden.tag_of(path), golden.read(path)
    assert golden.write(record) == path.read_bytes()

    message = decode(tag, record.payload)

    if tag not in UPCASTERS:
        assert golden.loses(record, tag) == "", f"today's {tag} drops it. {NEXT}"
    if record.topic is None:
        return
    envelope = read_headers(record.headers)
    assert envelope.headers() == record.headers
    assert envelope.type == tag
    assert (message.route(), message.subject, message.key.encode()) == (
        record.topic,
        envelope.subject,
        record.key,
    ), f"{tag} would go elsewhere than its readers look. {NEXT}"


@pytest.mark.parametrize("tag", sorted(BY_TAG))
def test_a_type_writes_its_newest_golden_bytes(tag) -> None:
    [*_, newest] = golden.revisions(tag)
    written = golden.write(golden.record_of(sample_of(BY_TAG[tag])))
    assert written == newest.read_bytes(), (
        f"the bytes of {tag} are not those of {newest.name}. If only optional fields were added, {RECORD}. {NEXT}"
    )


@pytest.mark.parametrize("message", PUBLISHED, ids=lambda t: t.tag())
def test_golden_bytes_fit_the_schema(message) -> None:
    schema = schema_of(message)
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    [*_, newest] = golden.revisions(message.tag())
    validator(schema).validate(golden.json_of(newest))


def test_committed_schemas_are_those_of_the_types() -> None:
    assert Shipped().broken() == []
    assert Shipped().drift() == []


def test_a_field_that_is_read_no_more_is_noticed() -> None:
    [path] = golden.revisions("oms.order.completed.v1")
    record = golden.read(path)
    older = record._replace(payload=record.payload.replace(b'"order_id"', b'"note":"x","order_id"'))

    assert golden.loses(record, "oms.order.completed.v1") == ""
    assert golden.loses(older, "oms.order.completed.v1") == ".note is gone"


def test_what_is_new_is_recorded_beside_what_is_there(tmp_path) -> None:
    shutil.copytree(golden.FOLDER, tmp_path / "golden")
    folder = tmp_path / "golden"
    changed = folder / "oms.order.shipped.v1.r1.record"
    changed.write_bytes(changed.read_bytes().replace(b',"carrier":"carrier-1"', b""))
    before = changed.read_bytes()
    (folder / "oms.order.completed.v1.r1.record").unlink()

    new = golden.record_new(folder)

    assert new == ["oms.order.shipped.v1.r2.record", "oms.order.completed.v1.r1.record"]
    assert changed.read_bytes() == before
    assert golden.record_new(folder) == []
