"""How the insights' two Kafka libraries are told who they are."""

from __future__ import annotations

from pathlib import Path

import certifi
import faust
import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from services.insights.broker import Broker
from shared.stream.login import OPEN, Login

CA = Path(certifi.where())


@pytest.mark.parametrize(
    ("login", "protocol"),
    [
        (OPEN, "PLAINTEXT"),
        (Login("insights", "secret"), "SASL_PLAINTEXT"),
        (Login("insights", "secret", CA), "SASL_SSL"),
        (Login(ca=CA), "SSL"),
    ],
)
def test_faust_signs_in_as_every_other_client(login: Login, protocol: str) -> None:
    broker = Broker("a:1,b:2", login)
    app = faust.App("unused", **broker.faust_options(), store="memory://")
    assert [str(url) for url in app.conf.broker] == ["kafka://a:1", "kafka://b:2"]
    told = credentials_to_aiokafka_auth(app.conf.broker_credentials, None)
    wanted = broker.options()
    assert told["security_protocol"] == wanted.pop("security_protocol") == protocol
    assert (told.get("ssl_context") is None) == (wanted.pop("ssl_context", None) is None)
    assert wanted.pop("bootstrap_servers") == "a:1,b:2"
    assert {k: told[k] for k in wanted} == wanted
