"""Every payload ever shipped stays readable, and today's types still write the same bytes."""

import jsonschema
import pytest

from shared.events import PUBLISHED, decode, encode
from shared.events.codec import COMMANDS, EVENTS, UPCASTERS
from shared.events.schemas import drift, schema_of
from tests.contract.events.golden import FOLDER, path_of, untyped

GOLDEN = sorted(FOLDER.glob("*.json"))


def test_every_type_has_golden_bytes() -> None:
    missing = [t.tag() for t in PUBLISHED if not path_of(t.tag()).exists()]
    assert missing == [], "run: python -m tests.contract.events.golden"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_golden_bytes_are_readable(path) -> None:
    message = decode(path.stem, path.read_bytes())
    assert message.subject
    assert message.key


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.stem)
def test_a_current_type_writes_its_golden_bytes(path) -> None:
    if path.stem in UPCASTERS:
        pytest.skip("an old version is read, and written as its successor")
    golden = path.read_bytes()
    assert encode(decode(path.stem, golden)) == golden


@pytest.mark.parametrize("message", PUBLISHED, ids=lambda t: t.tag())
def test_golden_bytes_fit_the_schema(message) -> None:
    schema = schema_of(message)
    validator = jsonschema.Draft202012Validator
    validator.check_schema(schema)
    validator(schema).validate(untyped(path_of(message.tag()).read_bytes()))


def test_no_golden_file_of_a_type_that_is_gone() -> None:
    known = EVENTS.keys() | COMMANDS.keys() | UPCASTERS.keys()
    assert [p.stem for p in GOLDEN if p.stem not in known] == []


def test_committed_schemas_are_those_of_the_types() -> None:
    assert drift() == []
