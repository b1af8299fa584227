"""Schemathesis over every service's OpenAPI document, against the running services, with state along its links."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import schemathesis
from schemathesis.engine import events, from_schema
from schemathesis.engine.core import EventStream

from shared.service.problems import MEDIA_TYPE
from tests.fuzz.ground import Ground

#: The first two make a new version of a read model from the beginning of the topics, and the third streams until there
#: is news: a handful shows all that a thousand would.
SLOW = ("POST /rebuild", "PUT /projections/{version}", "GET /events")
SLOW_EXAMPLES = 5
#: Its `sku` may be left out or repeated. Schemathesis makes a null or a nested list of it and expects a refusal, but in an
#: address these read as none and as texts, which are lawful. The corpus covers its parameters.
NULLABLE_LIST = "GET /availability"
#: What is too large is refused before anybody reads what is wrong with it.
REFUSED = [400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 431]
#: A document is looser than a domain: it cannot say that a SKU must be known or that a line's total must fit.
TOO_STRICT = "positive_data_acceptance"


class Fault(NamedTuple):
    """Something that an API must not do, and the request that made it."""

    operation: str
    check: str
    detail: str


@dataclass
class Tally:
    """What was asked, and what came of it."""

    operations: int = 0
    examples: int = 0
    server_errors: int = 0
    schema_violations: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    #: What is under way.
    stream: EventStream | None = None

    def stop(self) -> None:
        """End what is under way, from another thread."""
        if self.stream is not None:
            self.stream.stop()

    def line(self) -> str:
        """For scripts."""
        return (
            f"operations={self.operations} examples={self.examples} "
            f"server_errors={self.server_errors} schema_violations={self.schema_violations}"
        )

    def blame(self, fault: Fault) -> None:
        """Count a fault; the first of each kind is kept."""
        if fault.check == "not_a_server_error":
            self.server_errors += 1
        else:
            self.schema_violations += 1
        self.faults.setdefault(fault[:2], fault)


@schemathesis.check
def problem_document(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """Every refusal is a problem document (RFC 9457) that repeats its status."""
    del ctx
    if response.status_code < 400 or case.method == "HEAD" or case.path == "/readyz":
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind == MEDIA_TYPE, f"{response.status_code} came as {kind!r}"
    body = msgspec.json.decode(response.content, type=dict[str, Any])
    assert body["status"] == response.status_code, body
    assert body["type"].startswith("urn:oms:problem:"), body
    assert body["title"], body
    assert body["instance"].startswith("/"), body


def fuzz(
    ground: Ground, tally: Tally, service: str, examples: int, *, coverage: bool, seed: int = 0
) -> None:
    """Ask every operation of a service, ``examples`` times and then in sequences along the links. ``coverage`` adds the
    boundary values that Schemathesis lists by itself. Runs until done; call it in a thread."""
    url = ground.url(service)
    config = schemathesis.Config.from_dict(_settings(url, examples, coverage=coverage, seed=seed))
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    schema.auth(refresh_interval=None)(_keys(ground.system.keys.by_service[service]))
    tally.operations += schema.statistic.operations.total
    tally.stream = from_schema(schema).execute()
    for event in tally.stream:
        _count(event, tally, service)


def _settings(url: str, examples: int, *, coverage: bool, seed: int) -> dict[str, Any]:
    few = min(examples, SLOW_EXAMPLES)
    return {
        # How long an example takes to make says how busy this machine is.
        "suppress-health-check": ["too_slow"],
        "base-url": url,
        "seed": seed,
        "request-timeout": 20,
        # What /events streams has no end.
        "max-stream-events": 1,
        "continue-on-failure": True,
        "generation": {"max-examples": examples, "database": "none"},
        "checks": {
            TOO_STRICT: {"enabled": False},
            "negative_data_rejection": {"expected-statuses": REFUSED},
        },
        "phases": {"coverage": {"enabled": coverage}},
        "operations": [
            *({"include-name": name, "generation": {"max-examples": few}} for name in SLOW),
            {
                "include-name": NULLABLE_LIST,
                "checks": {"negative_data_rejection": {"enabled": False}},
            },
        ],
    }


def _keys(keys: dict[str, str]) -> type:
    """Every role that may ask an operation takes its turn."""
    turn = itertools.count()

    class Turns:
        def get(self, case: Any, ctx: Any) -> str:
            # Customers have no keys in a local system; `tests/contract/http` asks as them.
            may = set(case.operation.definition.raw.get("x-roles", ())) - {"customer"}
            roles = sorted(may) or ["auditor"]
            role = roles[next(turn) % len(roles)]
            return keys["channel:web" if role == "channel" else role]

        def set(self, case: Any, data: str, ctx: Any) -> None:
            case.headers = dict(case.headers or {}) | {"Authorization": f"Bearer {data}"}

    return Turns


def _count(event: Any, tally: Tally, service: str) -> None:
    if isinstance(event, events.NonFatalError | events.FatalError):
        error = getattr(event, "value", None) or event.exception
        tally.blame(Fault(f"{service} {getattr(event, 'label', '')}", "engine", str(error)[:600]))
    if not isinstance(event, events.ScenarioFinished):
        return
    for interaction in event.recorder.interactions.values():
        tally.examples += 1
        if interaction.response is not None:
            tally.statuses[interaction.response.status_code] += 1
    for case_id, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is None:
                continue
            label = event.recorder.cases[case_id].value.operation.label
            told = f"{check.failure_info.failure.title}: {check.failure_info.failure.message}"
            detail = f"{told[:600]}\n{check.failure_info.code_sample[:1000]}"
            tally.blame(Fault(f"{service} {label}", check.name, detail))
