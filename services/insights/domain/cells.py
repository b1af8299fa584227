"""Cells: the sums that are kept, each beside the feed position up to which it holds.

A cell sums one source partition's events only, so its watermark is one number, and the same record may be
offered again from any earlier point: a cell that holds it already does not take it twice. Totals are the sum of
the cells of all partitions.
"""

from zlib import crc32

import msgspec

from services.insights.domain.windows import Size

#: Cells of one window: a batch rewrites only those that it touched, and none outgrows a Kafka message.
SHARDS = 8
#: Between the parts of a name; no SKU, channel or currency holds a control character.
SEPARATOR = "\x1f"

Sums = dict[str, list[int]]


class Cell(msgspec.Struct, gc=False, tag="cell"):
    """``sums`` of all events of one partition up to feed position ``through`` that belong here."""

    through: int = 0
    sums: Sums = {}

    def add(self, sequence: int, sums: Sums) -> bool:
        """Take in what the event at ``sequence`` adds; False when it is in already."""
        if sequence <= self.through:
            return False
        for name, addends in sums.items():
            held = self.sums.get(name)
            if held is None:
                self.sums[name] = list(addends)
            else:
                for k, addend in enumerate(addends):
                    held[k] += addend
        self.through = sequence
        return True


class Progress(msgspec.Struct, gc=False, tag="progress"):
    """How far one partition of one topic is read.

    Written after every cell of a batch is acknowledged, so each cell holds at least what this says.
    ``newest`` is the newest business second seen; ``gaps`` counts feed positions that the topic skips.
    """

    offset: int = -1
    sequence: int = 0
    newest: int = 0
    records: int = 0
    skipped: int = 0
    gaps: int = 0


def is_older(value: Cell | Progress, held: Cell | Progress | None) -> bool:
    """Whether a value was outrun by one that was written before it: a process that stood still writes late. Of one
    position there is one value, whoever writes it."""
    if isinstance(value, Cell):
        return isinstance(held, Cell) and value.through < held.through
    return isinstance(held, Progress) and value.offset < held.offset


class Key(msgspec.Struct, frozen=True, gc=False):
    """What a cell sums: ``sales`` and ``orders`` by window, ``stock`` for all time; or a topic's progress."""

    kind: str
    partition: int
    size: Size | None = None
    start: int = 0
    shard: str = ""

    def __str__(self) -> str:
        window = f"/{self.size}/{self.start}" if self.size else ""
        return f"{self.kind}/{self.partition}{window}/{self.shard}"

    @classmethod
    def parse(cls, text: str) -> "Key":
        """The key of a text made by ``str``."""
        kind, partition, *rest = text.split("/")
        if len(rest) == 1:
            return cls(kind, int(partition), shard=rest[0])
        size, start, shard = rest
        return cls(kind, int(partition), Size(size), int(start), shard)


#: Kinds of cells: sums by window, sums for all time, how far a topic is read, and what has been said of it.
SALES, ORDERS, STOCK, READ, TOLD = "sales", "orders", "stock", "read", "told"


def shard_of(sku: str) -> str:
    """Which of a window's cells a SKU is in; the same in every process."""
    return str(crc32(sku.encode("utf-8", "surrogatepass")) % SHARDS)


def name(*parts: str) -> str:
    """The name of a sum inside a cell."""
    return SEPARATOR.join(parts)


def parts(text: str) -> list[str]:
    """What `name` joined."""
    return text.split(SEPARATOR)
