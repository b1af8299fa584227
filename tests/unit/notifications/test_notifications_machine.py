"""Random histories of an order and its endpoints: nothing is told twice, nothing is lost."""

from __future__ import annotations

from collections import Counter, defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.notifications.domain.endpoints import ENDPOINTS_MAX
from services.notifications.domain.messages import (
    CallWebhook,
    RegisterEndpoint,
    RemoveEndpoint,
    SendEmail,
    WebhookAnswered,
)
from services.notifications.handlers import table
from shared.events import Effect, Event
from shared.events import order as o
from shared.events.notifications import ENDPOINTS
from tests.spec import given
from tests.unit.notifications.happenings import ORDER, STREAM, TOLD, placed

TABLE = table()
IDS = st.sampled_from(["e1", "e2", "e3"])
EVENTS = (*TOLD, o.OrderCompleted(order_id=ORDER), o.PaymentVoided(order_id=ORDER, payment_id="p"))


class Notifications(RuleBasedStateMachine):
    """One order, a few endpoints, and a topic that repeats itself."""

    @initialize(email=st.sampled_from(["", "ada@example.com"]))
    def start(self, email: str) -> None:
        self.scenario = given(TABLE)
        self.causes: list[Event] = []
        self.mails: Counter[tuple[str, str]] = Counter()
        self.calls: list[CallWebhook] = []
        self.wants: dict[str, tuple[str, ...]] = {}
        self.owed: dict[str, int] = defaultdict(int)
        self.email = email
        self.scenario.when(placed(email), id="c-placed")

    def hear(self, event: Event, id: str) -> None:
        self.scenario.when(event, id=id)
        for item in self.scenario.items:
            if isinstance(item, Effect) and isinstance(item.request, SendEmail):
                self.mails[item.request.template, id] += 1
            elif isinstance(item, Effect) and isinstance(item.request, CallWebhook):
                self.calls.append(item.request)

    @rule(event=st.sampled_from(EVENTS))
    def something_happens(self, event: Event) -> None:
        for id, types in self.wants.items():
            self.owed[id] += not types or event.tag() in types
        self.causes.append(event)
        self.hear(event, f"c-{len(self.causes) - 1}")

    @rule(data=st.data())
    def the_topic_repeats_a_mail_cause(self, data: st.DataObject) -> None:
        """Without endpoints: for those, the feed's watermark keeps repetitions away."""
        if self.causes and not self.wants:
            number = data.draw(st.integers(0, len(self.causes) - 1))
            self.hear(self.causes[number], f"c-{number}")
            assert self.scenario.items == []

    @rule(id=IDS, types=st.sampled_from([(), ("oms.order.shipped.v1",)]))
    def register(self, id: str, types: tuple[str, ...]) -> None:
        url = f"https://{id}.example.com/"
        known = id in self.scenario.state(ENDPOINTS).endpoints
        self.scenario.when(RegisterEndpoint(endpoint_id=id, url=url, types=types))
        if id not in self.wants and id not in self.scenario.state(ENDPOINTS).endpoints:
            raise AssertionError("a new endpoint was not registered")
        if any(isinstance(i, Event) for i in self.scenario.items):
            self.wants[id] = types
            if not known:  # a disabled one goes on counting
                self.owed[id] = 0
                self.calls = [c for c in self.calls if c.endpoint_id != id]

    @rule(id=IDS)
    def remove(self, id: str) -> None:
        self.scenario.when(RemoveEndpoint(endpoint_id=id))
        self.wants.pop(id, None)

    @rule(data=st.data(), status=st.sampled_from([200, 204, 410]))
    def an_endpoint_answers(self, data: st.DataObject, status: int) -> None:
        if self.calls:
            call = data.draw(st.sampled_from(self.calls))
            ids = {"webhook_id": call.webhook_id, "endpoint_id": call.endpoint_id}
            self.scenario.when(WebhookAnswered(**ids, status=status))
            if any(type(i).__name__ == "EndpointDisabled" for i in self.scenario.items):
                self.wants.pop(call.endpoint_id)

    @invariant()
    def no_cause_is_told_twice(self) -> None:
        assert all(count == 1 for count in self.mails.values())
        told = sum(isinstance(e, TOLD_TYPES) for e in self.causes)
        assert len(self.mails) == (told if self.email else 0)

    @invariant()
    def sequences_have_no_gap(self) -> None:
        for id in self.wants:
            mine = [c.sequence for c in self.calls if c.endpoint_id == id]
            assert mine == list(range(1, self.owed[id] + 1))

    @invariant()
    def the_log_gives_the_same_state_and_no_effect(self) -> None:
        for stream in (STREAM, ENDPOINTS):
            replayed = given(TABLE, *self.scenario.log[stream])
            assert replayed.items == []
            assert replayed.state(stream) == self.scenario.state(stream)
        assert len(self.scenario.state(ENDPOINTS).endpoints) <= ENDPOINTS_MAX


TOLD_TYPES = tuple(type(e) for e in TOLD)

TestNotifications = Notifications.TestCase
TestNotifications.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
