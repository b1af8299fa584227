"""What every broker's clients promise."""

from __future__ import annotations

import asyncio
from typing import Any

from shared.ledger.batch import MESSAGE_BYTES_MAX
from shared.stream.port import BrokerLost, Outgoing, Record


def outgoing(number: int) -> Outgoing:
    return Outgoing(b"k%d" % number, b"%d" % number, [("ce_id", b"id-%d" % number)])


async def read(consumer: Any, count: int, seconds: float = 15) -> dict[int, list[Record]]:
    """That many records by partition, whatever the number of polls."""
    out: dict[int, list[Record]] = {}
    async with asyncio.timeout(seconds):
        while sum(map(len, out.values())) < count:
            for (_, number), records in (await consumer.poll(0.2)).items():
                plain = [r._replace(headers=list(r.headers)) for r in records]
                out.setdefault(number, []).extend(plain)
    return out


async def assigned(consumer: Any, count: int, seconds: float = 20) -> None:
    """Poll until that many partitions are assigned."""
    async with asyncio.timeout(seconds):
        while len(consumer.assigned()) != count:
            await consumer.poll(0.1)


async def test_a_partition_keeps_its_order_and_its_bytes(clients: Any) -> None:
    topic = await clients.topic(2)
    producer, consumer = await clients.producer(), await clients.consumer(topic)
    for start in (0, 40):
        await asyncio.gather(
            producer.publish((topic, 0), [outgoing(n) for n in range(start, start + 40)]),
            producer.publish((topic, 1), [outgoing(n) for n in range(1000 + start, 1040 + start)]),
        )
    await assigned(consumer, 2)
    for partition in consumer.assigned():
        consumer.seek(partition, 0)
    got = await read(consumer, 160)
    for number, first in ((0, 0), (1, 1000)):
        wanted = [Record(topic, number, offset, *outgoing(first + offset)) for offset in range(80)]
        assert got[number] == wanted
    assert await consumer.ends([(topic, 0), (topic, 1)]) == {(topic, 0): 80, (topic, 1): 80}
    assert await consumer.poll(0.05) == {}


async def test_the_largest_records_come_whole_and_in_their_place(clients: Any) -> None:
    """Larger by far than what is fetched of a partition at once."""
    topic = await clients.topic(1)
    producer, consumer = await clients.producer(), await clients.consumer(topic)
    large = Outgoing(b"large", bytes(MESSAGE_BYTES_MAX), [])
    sent = [outgoing(0), large, outgoing(1), large, large]
    await producer.publish((topic, 0), sent)
    await assigned(consumer, 1)
    consumer.seek((topic, 0), 0)
    got = await read(consumer, len(sent))
    assert got[0] == [Record(topic, 0, n, *one) for n, one in enumerate(sent)]


async def test_seek_goes_anywhere_and_an_offset_that_is_not_there_is_the_first(
    clients: Any,
) -> None:
    topic = await clients.topic(1)
    producer, consumer = await clients.producer(), await clients.consumer(topic)
    await producer.publish((topic, 0), [outgoing(n) for n in range(10)])
    await assigned(consumer, 1)
    for at, offsets in ((7, [7, 8, 9]), (0, list(range(10))), (5000, list(range(10)))):
        consumer.seek((topic, 0), at)
        assert [r.offset for r in (await read(consumer, len(offsets)))[0]] == offsets
    consumer.seek((topic, 0), 10)
    assert await consumer.poll(0.2) == {}
    await producer.publish((topic, 0), [outgoing(10)])
    assert [r.offset for r in (await read(consumer, 1))[0]] == [10]


async def test_a_paused_partition_waits_and_the_others_flow(clients: Any) -> None:
    topic = await clients.topic(2)
    producer, consumer = await clients.producer(), await clients.consumer(topic)
    await assigned(consumer, 2)
    for partition in consumer.assigned():
        consumer.seek(partition, 0)
    consumer.pause((topic, 0))
    for number in (0, 1):
        await producer.publish((topic, number), [outgoing(n) for n in range(5)])
    assert set(await read(consumer, 5)) == {1}
    assert await consumer.poll(0.2) == {}
    consumer.seek((topic, 0), 2)
    consumer.resume((topic, 0))
    assert [r.offset for r in (await read(consumer, 3))[0]] == [2, 3, 4]


async def test_a_group_shares_partitions_and_tells_when_it_gave_them_out(clients: Any) -> None:
    topic = await clients.topic(4)
    first = await clients.consumer(topic, "group-" + topic)
    await assigned(first, 4)
    alone = first.generation()
    assert alone > 0
    second = await clients.consumer(topic, "group-" + topic)
    async with asyncio.timeout(30):
        while len(first.assigned()) != 2 or len(second.assigned()) != 2:
            await asyncio.gather(first.poll(0.1), second.poll(0.1))
    assert first.assigned() | second.assigned() == {(topic, n) for n in range(4)}
    assert first.generation() > alone
    shared = first.generation()
    await clients.stop(second)
    await assigned(first, 4)
    assert first.generation() > shared


async def test_the_same_partitions_given_anew_are_a_new_generation(clients: Any) -> None:
    """Positions are the broker's then: a member that goes on without seeking would lose what it had fetched."""
    topic = await clients.topic(1)
    group = "group-" + topic
    first = await clients.consumer(topic, group)
    await assigned(first, 1)
    before = first.generation()
    second = await clients.consumer(topic, group)
    joining = asyncio.ensure_future(assigned(second, 1, 30))
    async with asyncio.timeout(30):
        while first.generation() == before or len(first.assigned() | second.assigned()) != 1:
            await first.poll(0.1)
    joining.cancel()
    await asyncio.wait([joining])
    assert first.generation() > before


async def test_committed_offsets_harm_nobody(clients: Any) -> None:
    """They are shown to people; where to read from is the caller's business, even where they lie."""
    topic = await clients.topic(1)
    producer, consumer = await clients.producer(), await clients.consumer(topic)
    await consumer.commit({(topic, 0): 3})
    await assigned(consumer, 1)
    await consumer.commit({})
    await consumer.commit({(topic, 0): 0})
    await producer.publish((topic, 0), [outgoing(n) for n in range(5)])
    await consumer.commit({(topic, 0): 4})
    consumer.seek((topic, 0), 0)
    assert [r.value for r in (await read(consumer, 5))[0]] == [outgoing(n).value for n in range(5)]


async def test_large_batches_arrive_whole(clients: Any) -> None:
    topic = await clients.topic(1)
    producer, consumer = await clients.producer(), await clients.consumer(topic)
    big = [Outgoing(b"k", b"%d" % n * 1000, []) for n in range(1000, 1400)]
    await producer.publish((topic, 0), big)
    await assigned(consumer, 1)
    consumer.seek((topic, 0), 0)
    got = (await read(consumer, 400))[0]
    assert [r.value for r in got] == [o.value for o in big]


async def test_after_a_loss_a_new_client_goes_on(clients: Any) -> None:
    topic = await clients.topic(1)
    producer = await clients.producer()
    await producer.publish((topic, 0), [outgoing(0)])
    await clients.stop(producer)
    again = await clients.producer()
    await again.publish((topic, 0), [outgoing(1)])
    consumer = await clients.consumer(topic)
    await assigned(consumer, 1)
    consumer.seek((topic, 0), 0)
    assert [r.value for r in (await read(consumer, 2))[0]] == [b"0", b"1"]
    assert issubclass(BrokerLost, Exception)
