"""The broker as each of the insights' clients wants to be told of it: aiokafka's, and faust's."""

from typing import Any, NamedTuple

import faust

from shared.stream.login import OPEN, Login


class Broker(NamedTuple):
    """Where it is, who we are, and how many ``replicas`` the changelog has there."""

    bootstrap: str
    login: Login = OPEN
    replicas: int = 1

    def options(self) -> dict[str, Any]:
        """Keyword arguments of aiokafka's clients. Raises as `Login.options` does."""
        return {"bootstrap_servers": self.bootstrap, **self.login.options()}

    def faust_options(self) -> dict[str, Any]:
        """Keyword arguments of a faust application, which keeps what it was told until it ends."""
        context = self.login.options().get("ssl_context")
        options: dict[str, Any] = {
            "broker": [f"kafka://{address}" for address in self.bootstrap.split(",")]
        }
        if self.login.username:
            options["broker_credentials"] = faust.SASLCredentials(
                username=self.login.username,
                password=self.login.password,
                ssl_context=context,
                mechanism="SCRAM-SHA-512",
            )
        elif context is not None:
            options["broker_credentials"] = faust.SSLCredentials(context)
        return options
