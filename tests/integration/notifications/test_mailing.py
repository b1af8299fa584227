"""E-mails through a real mail server that is down, busy, forgetful or unwilling: once each."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import msgspec
import pytest

from services.notifications.domain.messages import MailRefused, MailTaken
from services.notifications.mailer import Mailer
from services.notifications.smtp import SmtpPool
from shared.events import Customer
from shared.events import notifications as n
from shared.ledger.effects import TryAgain
from tests.integration.notifications.conftest import SENDER, Notifier, Sink, until
from tests.unit.notifications.happenings import CONFIRMED, SHIPPED, mail, placed


class Order:
    """One order of its own, so that tests can share a database."""

    def __init__(self, to: str = "ada@example.com") -> None:
        self.id = uuid4().hex
        self.stream = f"correspondence-{self.id}"
        customer = Customer(name="Ada", email=to)
        self.placed = msgspec.structs.replace(placed(), order_id=self.id, customer=customer)
        self.confirmed = msgspec.structs.replace(CONFIRMED, order_id=self.id)
        self.shipped = msgspec.structs.replace(SHIPPED, order_id=self.id)

    async def confirm(self, notifier: Notifier) -> None:
        await notifier.hear(self.placed, f"order-{self.id}/1")
        await notifier.hear(self.confirmed, f"order-{self.id}/4")


async def test_a_mail_arrives_and_is_noted(notifier: Notifier, sink: Sink) -> None:
    await sink.start()
    order = Order()
    await order.confirm(notifier)
    await until(lambda: notifier.has(order.stream, n.NotificationSent))
    opened, requested, sent = await notifier.log(order.stream)
    assert isinstance(opened, n.CorrespondenceOpened)
    assert isinstance(requested, n.NotificationRequested)
    assert isinstance(sent, n.NotificationSent)
    [entry] = sink.store.entries()
    assert f"<{entry.id}>" == sent.message_id == f"<{requested.notification_id}@oms.local>"
    assert (entry.to, entry.received) == (("ada@example.com",), 1)
    raw = sink.store.raw(entry.id)
    assert raw is not None
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Subject"] == "Order A-1 is confirmed"
    assert await notifier.owed() == []


async def test_the_same_event_again_sends_nothing(notifier: Notifier, sink: Sink) -> None:
    await sink.start()
    order = Order()
    await order.confirm(notifier)
    outcomes = await asyncio.gather(
        *(notifier.hear(order.confirmed, f"order-{order.id}/4") for _ in range(20))
    )
    assert all(o.events == [] for o in outcomes)
    await notifier.hear(order.shipped, f"order-{order.id}/7")
    await until(lambda: len(sink.store) == 2)
    assert [e.received for e in sink.store.entries()] == [1, 1]


async def test_a_server_that_is_down_gets_it_later_and_once(notifier: Notifier, sink: Sink) -> None:
    order = Order()
    await order.confirm(notifier)

    async def tried_twice() -> bool:
        return any(row["attempts"] == 2 for row in await notifier.owed())

    await until(tried_twice)
    assert not await notifier.has(order.stream, n.NotificationSent)
    await sink.start()
    await until(lambda: notifier.has(order.stream, n.NotificationSent))
    assert [e.received for e in sink.store.entries()] == [1]


async def test_busy_is_tried_again(notifier: Notifier, sink: Sink) -> None:
    await sink.start()
    order = Order("ada+busy@example.com")
    await order.confirm(notifier)
    await until(lambda: notifier.has(order.stream, n.NotificationSent))
    assert [e.received for e in sink.store.entries()] == [1]


async def test_an_answer_that_is_lost_makes_no_second_mail(notifier: Notifier, sink: Sink) -> None:
    await sink.start()
    order = Order("ada+lost@example.com")
    await order.confirm(notifier)
    await until(lambda: notifier.has(order.stream, n.NotificationSent))
    assert len(sink.store) == 1
    assert sink.store.duplicates == 1  # the sink saw it twice and knows it by its Message-ID
    events = await notifier.log(order.stream)
    assert [type(e) for e in events].count(n.NotificationSent) == 1


async def test_a_refusal_for_good_is_noted_without_the_address(
    notifier: Notifier, sink: Sink
) -> None:
    await sink.start()
    order = Order("ada+bounce@example.com")
    await order.confirm(notifier)
    await until(lambda: notifier.has(order.stream, n.NotificationFailed))
    failed = (await notifier.log(order.stream))[-1]
    assert isinstance(failed, n.NotificationFailed)
    assert failed.reason == "550 5.1.1 <address>: no such mailbox"
    assert await notifier.owed() == []
    assert len(sink.store) == 0


async def test_what_is_no_address_is_refused_and_others_flow(
    notifier: Notifier, sink: Sink
) -> None:
    await sink.start()
    bad, good = Order("ada@example.com\r\nRCPT TO:<eve@example.com>"), Order("jürgen@example.com")
    await bad.confirm(notifier)
    await good.confirm(notifier)
    await until(lambda: notifier.has(bad.stream, n.NotificationFailed))
    await until(lambda: notifier.has(good.stream, n.NotificationSent))
    assert [e.to for e in sink.store.entries()] == [("jürgen@example.com",)]


async def test_a_pool_survives_a_restarted_server(sink: Sink) -> None:
    await sink.start()
    async with SmtpPool("127.0.0.1", sink.port, connections=1) as pool:
        mailer = Mailer(pool, SENDER)
        assert isinstance(await mailer.perform(mail(notification_id="n-1"), ""), MailTaken)
        [client] = pool._idle
        assert client.transport is not None
        await sink.stop()
        await sink.start()
        # The server forgets the connection; the client finds out when it writes.
        client.transport.close()
        assert isinstance(await mailer.perform(mail(notification_id="n-2"), ""), MailTaken)
        bounced = mail(notification_id="n-3", to="a+bounce@example.com")
        assert isinstance(await mailer.perform(bounced, ""), MailRefused)
        # A refusal leaves the connection usable.
        assert isinstance(await mailer.perform(mail(notification_id="n-4"), ""), MailTaken)
    assert [e.received for e in sink.store.entries()] == [1, 1, 1]


@asynccontextmanager
async def scripted(*replies: bytes) -> AsyncIterator[int]:
    """The port of a server that says these replies, the first unasked and each other one after a
    line of the client's, then nothing more; an empty one hangs up."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, reply in enumerate(replies):
            if (number and not await reader.readline()) or not reply:
                break
            writer.write(reply + b"\r\n")
        else:
            await reader.read()  # until the client gives up
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        await asyncio.wait(talks)


@pytest.mark.parametrize(
    ("replies", "says"),
    [
        ((b"554 go away",), "does not let us in"),
        ((b"421 too busy",), "does not let us in"),
        ((b"220 hello", b"250 fine", b"530 log in first", b"250 reset"), "530"),
        ((b"220 hello", b"250 fine", b"451 <ada@example.com> later", b"250 reset"), "<address>"),
        ((b"220 hello", b"250 fine", b"nonsense", b"250 reset"), "-1"),
        ((b"220 hello", b"250 fine", b""), "did not answer"),
    ],
)
async def test_what_is_no_fault_of_the_mail_is_tried_again(
    replies: tuple[bytes, ...], says: str
) -> None:
    async with scripted(*replies) as port, SmtpPool("127.0.0.1", port, timeout_s=5) as pool:
        with pytest.raises(TryAgain, match=says) as caught:
            await Mailer(pool, SENDER).perform(mail(), "")
        assert "ada@" not in str(caught.value)


async def test_a_server_that_says_nothing_is_left_in_time() -> None:
    async with scripted() as port, SmtpPool("127.0.0.1", port, timeout_s=0.2) as pool:
        with pytest.raises(TryAgain):
            await Mailer(pool, SENDER).perform(mail(), "")


async def test_many_at_once_share_few_connections(sink: Sink) -> None:
    await sink.start()
    async with SmtpPool("127.0.0.1", sink.port, connections=3) as pool:
        mailer = Mailer(pool, SENDER)
        requests = [mail(notification_id=f"n-{i}") for i in range(60)]
        answers = await asyncio.gather(*(mailer.perform(m, "") for m in requests))
        assert all(isinstance(a, MailTaken) for a in answers)
        assert 1 <= len(pool._idle) <= 3
    assert len(sink.store) == 60
