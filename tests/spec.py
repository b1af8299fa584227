"""Given / when / then over a service's table: what happened before, what is asked, what must come of it.

``given(TABLE, *events).when(message).then(*items)`` compares the exact ordered list of everything that is decided:
events, and the commands, timers and effects that reactions add.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

from shared.events import Context, Event, Items, Message, Refused
from shared.ledger.table import Table

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class Scenario:
    """The streams of one service, in memory."""

    def __init__(self, table: Table, events: tuple[Event, ...]) -> None:
        self.table = table
        self.states: dict[str, Any] = {}
        self.log: dict[str, list[Event]] = defaultdict(list)
        self.items: Items = []
        for event in events:
            self._fold(event)

    def state(self, stream: str) -> Any:
        """The state of a stream now."""
        return self.states.get(stream, self.table.category(stream).initial())

    def _fold(self, event: Event) -> Any:
        stream = event.subject
        self.log[stream].append(event)
        state = self.table.category(stream).evolve(self.state(stream), event)
        self.states[stream] = state
        return state

    def when(
        self, message: Message, *, at: datetime = NOON, id: str = "m-1", actor: str = ""
    ) -> Scenario:
        """Handle a message as the service would, folding what it decides."""
        handler = self.table.handlers[type(message)]
        context = Context(now=at, message_id=id, correlation_id=message.key, actor=actor)
        states = {stream: self.state(stream) for stream in handler.streams(message)}
        self.items = []
        for item in handler.decide(states, message, context):
            self.items.append(item)
            if isinstance(item, Event):
                assert item.subject in states, f"{item.subject} was not asked for by the handler"
                state = self._fold(item)
                react = self.table.category(item.subject).react
                if react is not None:
                    self.items += react(state, item, context)
        return self

    def then(self, *items: Any) -> Scenario:
        """Exactly these items were decided, in this order."""
        assert self.items == list(items)
        return self

    def then_events(self, *events: Event) -> Scenario:
        """Exactly these events were decided; other items are not looked at."""
        assert [i for i in self.items if isinstance(i, Event)] == list(events)
        return self

    def then_includes(self, *items: Any) -> Scenario:
        """These items are among those decided."""
        for item in items:
            assert item in self.items, f"{item} is not among {self.items}"
        return self

    def nothing(self) -> Scenario:
        """Nothing was decided."""
        assert self.items == []
        return self

    def rejected(self, code: str) -> Scenario:
        """Only a refusal with this code was answered."""
        assert [type(i) for i in self.items] == [Refused], self.items
        assert self.items[0].code == code  # type: ignore[union-attr]
        return self


def given(table: Table, *events: Event) -> Scenario:
    """A service whose logs hold these events."""
    return Scenario(table, events)
