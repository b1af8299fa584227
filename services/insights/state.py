"""The cells that this process knows: its own partitions' from the table, the others' from the table's changelog."""

from collections.abc import Iterator, MutableMapping
from typing import Any

from services.insights.domain.cells import Cell, Key, Progress, is_older
from services.insights.domain.windows import Size

#: What a table holds.
Value = Cell | Progress


class State:
    """Cells by key, and which windows there are.

    ``own`` is the table's storage; it may still hold partitions that have moved away, which count as foreign at once.
    ``touched`` collects windows that changed, for whoever announces them.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.own: MutableMapping[str, Any] = {}
        self.foreign: dict[str, Value] = {}
        self.owned: frozenset[int] = frozenset()
        self.touched: set[tuple[Size, int]] = set()
        self.changes = 0
        self._windows: dict[tuple[Size, int], set[str]] = {}

    def get(self, key: Key | str) -> Any:
        """A cell, a progress, or None."""
        parsed = key if isinstance(key, Key) else Key.parse(key)
        place = self.own if parsed.partition in self.owned else self.foreign
        return place.get(str(key))

    def hold(self, own: MutableMapping[str, Any], owned: frozenset[int]) -> None:
        """These partitions are this process's from now on, and what ``own`` has of them is all there is."""
        for text in [t for t in own if Key.parse(t).partition not in owned]:
            del own[text]
        for text in [t for t in self.foreign if Key.parse(t).partition in owned]:
            del self.foreign[text]
        self.own, self.owned = own, owned
        self._windows.clear()
        for text in (*own, *self.foreign):
            self.note(text)

    def release(self) -> None:
        """Partitions are moving: nothing is this process's until `hold`."""
        self.owned = frozenset()

    def follow(self, text: str, value: Value | None) -> None:
        """Another process changed a cell, or dropped it."""
        if value is not None and is_older(value, self.foreign.get(text)):
            return
        if value is None:
            self.foreign.pop(text, None)
            self.forget(text)
        else:
            self.foreign[text] = value
            self.note(text)

    def note(self, text: str) -> None:
        """A cell was set."""
        self.changes += 1
        key = Key.parse(text)
        if key.size is not None:
            self._windows.setdefault((key.size, key.start), set()).add(text)
            self.touched.add((key.size, key.start))

    def forget(self, text: str) -> None:
        """A cell was dropped."""
        self.changes += 1
        key = Key.parse(text)
        if key.size is not None and (texts := self._windows.get((key.size, key.start))):
            texts.discard(text)
            if not texts:
                del self._windows[key.size, key.start]

    def starts(self, size: Size) -> list[int]:
        """Starts of the windows of a size that have cells, in order."""
        return sorted(start for s, start in self._windows if s == size)

    def cells(self, kind: str, size: Size, start: int) -> Iterator[Cell]:
        """The cells of one kind in one window, over all partitions."""
        for text in self._windows.get((size, start), ()):
            if text.startswith(f"{kind}/") and isinstance(cell := self.get(text), Cell):
                yield cell

    def expired(self, partition: int, newest: int) -> list[str]:
        """A partition's cells of windows that are no longer kept when its time stands at ``newest``."""
        out = []
        for (size, start), texts in self._windows.items():
            oldest = size.oldest(newest)
            if oldest is not None and start < oldest:
                out += [t for t in texts if Key.parse(t).partition == partition]
        return out
