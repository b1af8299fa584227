"""Every message ever shipped stays readable, and today's types still write the same bytes."""

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
