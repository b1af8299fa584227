"""The catalogue that a history of rows implies.

One item per SKU, whatever its spellings and descriptions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from ops.importer.records import Item


class Catalogue:
    """Learns SKUs row by row.

    The canonical SKU is upper case; the source's spellings are kept beside it.
    """

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._spellings: defaultdict[str, set[str]] = defaultdict(set)
        self._sold_as: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._noted_as: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def see(self, source_sku: str, description: str, *, sold: bool) -> None:
        """Count a row.

        Only sold rows name the goods: on other rows the text is a remark such as "thrown away".
        """
        sku = source_sku.upper()
        self._spellings[sku].add(source_sku)
        if description:
            (self._sold_as if sold else self._noted_as)[sku][description] += 1

    def items(self) -> Iterator[Item]:
        """Yield items by SKU.

        The most frequent description wins, the first of the alphabet on a tie.
        """
        for sku in sorted(self._spellings):
            names = self._sold_as.get(sku) or self._noted_as.get(sku) or {sku: 1}
            ranked = sorted(names, key=lambda name: (-names[name], name))
            yield Item(
                channel=self._channel,
                sku=sku,
                description=ranked[0],
                source_skus=tuple(sorted(self._spellings[sku])),
                other_descriptions=tuple(ranked[1:]) if sku in self._sold_as else (),
            )

    def notes(self) -> dict[str, int]:
        """Count what was merged."""
        merged = [spellings for spellings in self._spellings.values() if len(spellings) > 1]
        return {
            "SKUs": len(self._spellings),
            "SKUs written in several cases": len(merged),
            "spellings merged away": sum(len(spellings) - 1 for spellings in merged),
            "SKUs sold under several descriptions": sum(
                len(names) > 1 for names in self._sold_as.values()
            ),
        }
