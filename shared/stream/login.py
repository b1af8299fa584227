"""Who a Kafka client is, and whose word it takes for the broker: SCRAM-SHA-512 over TLS, or an open broker."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Login:
    """``username`` and ``password`` for SASL, ``ca`` (a PEM file) for TLS; without them the broker is taken as open."""

    username: str = ""
    password: str = field(default="", repr=False)
    ca: Path | None = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka's clients. The file is read anew for every client, so that a CA which was
        renewed meanwhile counts. Raises OSError or ssl.SSLError for a file that is no CA."""
        options: dict[str, Any] = {
            "security_protocol": ("SASL_" if self.username else "")
            + ("SSL" if self.ca else "PLAINTEXT")
        }
        if self.ca is not None:
            options["ssl_context"] = ssl.create_default_context(cafile=self.ca)
        if self.username:
            options["sasl_mechanism"] = "SCRAM-SHA-512"
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


#: A broker that asks nobody who he is: the local stack's.
OPEN = Login()
