"""Which processes there are, where they listen and what they are told: one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import executable
from typing import Any

import msgspec

from ops.stack.supervisor import Program
from ops.system.keys import Keys
from shared.events import catalogue

#: The services, and their port's distance from the base.
SERVICES = {
    "views": 0,
    "order": 1,
    "inventory": 2,
    "fulfillment": 3,
    "returns": 4,
    "notifications": 5,
    "integrations": 6,
    "insights": 7,
}
#: What the insights know lies on topics: they have no database.
WITHOUT_DATABASE = frozenset({"insights"})
PAYMENTS, SMTP, SINK = 10, 25, 26
PORT_BASE = 8100
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Layout:
    """A system's shape: ports from a base, which services run, and settings added per process."""

    data: Path
    port_base: int = PORT_BASE
    services: tuple[str, ...] = tuple(SERVICES)
    payments: bool = True
    mail: bool = True
    partitions: int = 4
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def url(self, name: str) -> str:
        """The address of a service, of ``payments`` or of the mail ``sink``."""
        return f"http://{HOST}:{self.port(name)}"

    def port(self, name: str) -> int:
        """The HTTP port of a process."""
        offset = {**SERVICES, "payments": PAYMENTS, "sink": SINK, "smtp": SMTP}[name]
        return self.port_base + offset

    def programs(self, kafka: str, dsns: Mapping[str, str], keys: Keys) -> list[Program]:
        """Every process, with its environment and its readiness check."""
        programs = [self._service(name, kafka, dsns.get(name, ""), keys) for name in self.services]
        if self.payments:
            programs.insert(0, self._payments(keys))
        if self.mail:
            programs.insert(0, self._sink())
        return programs

    def _service(self, name: str, kafka: str, dsn: str, keys: Keys) -> Program:
        peers = {peer: self.url(peer) for peer in catalogue.SERVICES}
        environment = {
            "OMS_HOST": HOST,
            "OMS_PORT": str(self.port(name)),
            "OMS_DATABASE": dsn,
            "OMS_KAFKA": kafka,
            "OMS_KEYS_FILE": str(keys.file(name)),
            "OMS_PEERS": msgspec.json.encode(peers).decode(),
            "OMS_PEER_KEY": keys.service,
            "OMS_PARTITIONS": str(self.partitions),
            "OMS_PAYMENTS_URL": self.url("payments"),
            "OMS_PAYMENTS_KEY": keys.payments,
            "OMS_SMTP_HOST": HOST,
            "OMS_SMTP_PORT": str(self.port("smtp")),
            "OMS_TRACKING_URL": self.url("views"),
            "OMS_TRACKING_KEYS": keys.tracking_keys,
            "OMS_WEBHOOK_NETWORKS": '["127.0.0.0/8", "::1/128"]',  # receivers on this machine
            "OMS_VIEWS_URL": self.url("views"),
            "OMS_DROP_FOLDER": str(self.data / "inbox"),
        }
        return self._program(name, ("-m", f"services.{name}"), environment, ready="/readyz")

    def _payments(self, keys: Keys) -> Program:
        environment = {
            "OMS_HOST": HOST,
            "OMS_PORT": str(self.port("payments")),
            "OMS_PAYMENTS_LEDGER": str(self.data / "payments.sqlite"),
            "OMS_PAYMENTS_KEY": keys.payments,
        }
        return self._program("payments", ("-m", "shared.payments"), environment, ready="/readyz")

    def _sink(self) -> Program:
        environment = {
            "OMS_HOST": HOST,
            "OMS_PORT": str(self.port("sink")),
            "OMS_SMTP_PORT": str(self.port("smtp")),
            "OMS_SINK_FILE": str(self.data / "mail.jsonl"),
        }
        return self._program("sink", ("-m", "ops.sink"), environment, ready="/readyz")

    def _program(
        self, name: str, arguments: tuple[str, ...], environment: dict[str, Any], *, ready: str
    ) -> Program:
        return Program(
            name,
            (executable, *arguments),
            {**environment, **self.extra.get(name, {})},
            port=self.port(name),
            ready=self.url(name) + ready,
            ready_timeout_s=60,
        )
