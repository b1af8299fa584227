"""A message counts on the topics of its type and on no other: the broker's rights say who may write where."""

from __future__ import annotations

import pytest

from ops.contracts.tables import tables
from shared.events import BadEnvelope, encode
from shared.events.catalogue import routes
from shared.events.samples import sample_of


@pytest.mark.parametrize("name", sorted(tables()))
def test_a_service_reads_a_message_where_it_travels_and_nowhere_else(name: str) -> None:
    table, read, refused = tables()[name], 0, 0
    for topic in table.topics:
        for message in table.handlers:
            if not routes(message):
                continue
            sample = sample_of(message)
            if topic in routes(message):
                assert table.read(topic, message.tag(), encode(sample)) == sample
                read += 1
            else:
                with pytest.raises(
                    BadEnvelope, match=f"{message.tag()} does not travel on {topic}"
                ):
                    table.read(topic, message.tag(), encode(sample))
                refused += 1
    assert read
    assert refused or len(table.topics) == 1
