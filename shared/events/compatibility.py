"""Whether one schema may take the place of another: fully compatible, in both directions.

Readers of tomorrow meet what lies in topics and logs today, and readers of today meet what is written tomorrow. So a
change may only add optional fields; readers pass over fields that they do not know. Everything else is another version
of the type. The comparison is strict: a keyword that it does not know must not change at all.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

#: Words about a schema, which no reader acts upon.
_ANNOTATIONS = frozenset(("$schema", "$id", "$defs", "title", "description", "x-topic", "x-kind"))
#: Keywords that are compared by what they mean.
_COMPARED = frozenset(("properties", "required", "items", "type", "enum", "anyOf", "default"))
_ABSENT = object()


def breaks(old: Schema, new: Schema) -> list[str]:
    """Every reason why ``new`` cannot replace ``old``; empty when it can. Fields are named by their path."""
    found = []
    for mark, what in (("x-topic", "topic"), ("x-kind", "kind of message")):
        if old.get(mark) != new.get(mark):
            found.append(f"the {what} was {old.get(mark)}, is {new.get(mark)}: its readers miss it")
    return found + list(_Comparison(old, new).compare(old, new, ""))


def same(old: Schema, new: Schema) -> bool:
    """Whether two schemas differ in words only, or not at all."""
    return not breaks(old, new) and not breaks(new, old)


class _Comparison:
    """Two documents, walked side by side; ``path`` is where we are, empty at the top."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old.get("$defs", {})
        self._new = new.get("$defs", {})

    def compare(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        old, new = _resolved(old, self._old), _resolved(new, self._new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._alternatives(old, new, path)
            return
        if ("enum" in old) != ("enum" in new):
            yield from _values(old, new, path)
            return
        if old.get("type") != new.get("type"):
            yield f"{path or 'the payload'}: the type was {_told(old)}, is {_told(new)}"
            return
        yield from _values(old, new, path)
        yield from self._fields(old, new, path)
        if "items" in old or "items" in new:
            yield from self.compare(old.get("items", {}), new.get("items", {}), f"{path}[]")
        for word in sorted((old.keys() | new.keys()) - _ANNOTATIONS - _COMPARED):
            if old.get(word) != new.get(word):
                yield f"{path}: {word} was {old.get(word)!r}, is {new.get(word)!r}"

    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        required = set(new.get("required", ()))
        needed = set(old.get("required", ()))
        for name in was:
            at = f"{path}.{name}".lstrip(".")
            if name not in now:
                yield f"{at}: the field was removed or renamed, and its readers find nothing"
                continue
            if name in needed - required:
                yield f"{at}: was always there, is optional now: readers of today rely on it"
            if name in required - needed:
                yield f"{at}: was optional, is required now: messages of before may lack it"
            before, after = was[name].get("default", _ABSENT), now[name].get("default", _ABSENT)
            if before != after and name not in required | needed:
                yield f"{at}: the default changed: messages of before that lack it change meaning"
            yield from self.compare(was[name], now[name], at)
        for name in now.keys() - was.keys():
            if name in required:
                yield f"{path}.{name}".lstrip(".") + (
                    ": a new field without a default: messages of before lack it"
                )

    def _alternatives(self, old: Schema, new: Schema, path: str) -> Iterator[str]:
        """One of several shapes, such as text or null: every shape needs its like on the other side."""
        was, now = old.get("anyOf", [old]), list(new.get("anyOf", [new]))
        gone = []
        for one in was:
            like = next((x for x in now if not any(self.compare(one, x, path))), None)
            if like is None:
                gone.append(one)
            else:
                now.remove(like)
        if len(gone) == len(now) == 1:
            yield from self.compare(gone[0], now[0], path)
            return
        for one in gone:
            told = _told(_resolved(one, self._old))
            yield f"{path}: narrowed, {told} is no longer accepted, and messages of before hold it"
        for one in now:
            told = _told(_resolved(one, self._new))
            yield f"{path}: widened, {told} may come now, and readers of today refuse it"


def _values(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """Closed lists of values."""
    was, now = old.get("enum"), new.get("enum")
    if now is None and was is not None:
        yield f"{path}: widened to any {_told(new)}, and readers of today know the values {was}"
    elif was is None and now is not None:
        yield f"{path}: narrowed to the values {now}, and messages of before may hold others"
    elif was is not None and now is not None:
        for value in was:
            if value not in now:
                yield f"{path}: the value {value!r} was removed, and messages of before hold it"
        for value in now:
            if value not in was:
                yield f"{path}: the value {value!r} was added, and readers of today refuse it"


def _resolved(schema: Schema, definitions: dict[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    return definitions[reference.rpartition("/")[2]]


def _told(schema: Schema) -> str:
    """A schema in a word."""
    if "enum" in schema:
        return f"one of {schema['enum']}"
    return str(schema.get("title") or schema.get("type") or "anything")
