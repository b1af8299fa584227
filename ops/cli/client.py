"""A running system as the command line sees it: where its parts listen, and the keys to them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import msgspec

from ops.cli.codes import CliError, Exit
from ops.stack import state
from ops.system import System

_TIMEOUT_S = 10.0


class _PlainKeys(msgspec.Struct, frozen=True):
    payments: str
    keys: dict[str, dict[str, str]]


@dataclass(frozen=True)
class Running:
    """Addresses and keys. ``urls`` has every service, ``payments`` and the mail ``sink``."""

    data: Path
    kafka: str
    urls: Mapping[str, str]
    keys: Mapping[str, Mapping[str, str]]
    payments_key: str
    databases: Mapping[str, str]

    @classmethod
    def of(cls, system: System) -> "Running":
        """The system that this process runs itself."""
        names = [*system.layout.services]
        names += ["payments"] * system.layout.payments + ["sink"] * system.layout.mail
        return cls(
            data=system.layout.data,
            kafka=system.stack.kafka,
            urls={name: system.layout.url(name) for name in names},
            keys=system.keys.by_service,
            payments_key=system.keys.payments,
            databases=system.dsns,
        )

    def bearer(self, service: str, role: str) -> dict[str, str]:
        """The header for a role at a service; a channel is ``channel:<name>``."""
        key = self.payments_key if service == "payments" else self.keys.get(service, {}).get(role)
        if key is None:
            raise CliError(Exit.USAGE, f"there is no key of role {role!r} for {service}")
        return {"Authorization": f"Bearer {key}"}

    def http(self, service: str, role: str = "") -> httpx.AsyncClient:
        """A client of one service, with a role's key. Raises `CliError` when the service is not part of the system."""
        if service not in self.urls:
            raise CliError(Exit.UNAVAILABLE, f"{service} is not part of the system at {self.data}")
        return httpx.AsyncClient(
            base_url=self.urls[service],
            headers=self.bearer(service, role) if role else {},
            timeout=_TIMEOUT_S,
            trust_env=False,
            limits=httpx.Limits(max_connections=32, max_keepalive_connections=32),
        )


def find(data: Path) -> Running:
    """The system that runs over a data directory. Raises `CliError` (69) when there is none."""
    found = state.read(data)
    if found is None or not found.running:
        raise CliError(
            Exit.UNAVAILABLE,
            f"no system runs over {data}: start one with `oms up` or `oms demo`, or name another "
            "directory with --data",
        )
    if not found.processes:
        raise CliError(Exit.UNAVAILABLE, f"the system over {data} is still starting: try again")
    plain = data / "keys" / "plain.json"
    try:
        stored = msgspec.json.decode(plain.read_bytes(), type=_PlainKeys)
    except (OSError, msgspec.MsgspecError) as error:
        raise CliError(
            Exit.UNAVAILABLE, f"{plain} cannot be read ({error}): restart the system (`oms down`)"
        ) from error
    return Running(
        data=data,
        kafka=found.addresses["kafka"],
        urls={p.name: f"http://127.0.0.1:{p.port}" for p in found.processes if p.port},
        keys=stored.keys,
        payments_key=stored.payments,
        databases={
            name.removeprefix("database:"): dsn
            for name, dsn in found.addresses.items()
            if name.startswith("database:")
        },
    )


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    """A JSON answer. Raises `CliError`, naming address and problem, for anything else."""
    return await _answer(client, "GET", path, params=query)


async def post(client: httpx.AsyncClient, path: str, body: Any = None) -> Any:
    """A JSON answer, as `get` has it."""
    return await _answer(client, "POST", path, json=body)


async def _answer(client: httpx.AsyncClient, method: str, path: str, **content: Any) -> Any:
    try:
        response = await client.request(method, path, **content)
    except httpx.TransportError as error:
        raise CliError(
            Exit.UNAVAILABLE,
            f"{client.base_url} does not answer ({type(error).__name__}): see `oms status`",
        ) from error
    if response.is_error:
        raise CliError(Exit.PROBLEM, f"{method} {response.url}: {problem(response)}")
    return response.json()


async def patiently(
    ask: Callable[[], Awaitable[httpx.Response]], seconds: float = 45.0
) -> httpx.Response:
    """The answer of a service that may be restarting: asked again while it does not listen, or says 503 (or 429: slower).

    The request must be one that may be sent twice. Raises `CliError` when the time is over.
    """
    deadline = monotonic() + seconds
    while True:
        try:
            response = await ask()
        except httpx.TransportError as error:
            if monotonic() > deadline:
                raise CliError(
                    Exit.UNAVAILABLE, f"no answer for {seconds:.0f} s ({error!r}): see `oms status`"
                ) from error
        else:
            if response.status_code not in (429, 503) or monotonic() > deadline:
                return response
        await asyncio.sleep(0.2)


def problem(response: httpx.Response) -> str:
    """A problem document in one line."""
    try:
        body = response.json()
        words = [str(body[x]) for x in ("title", "detail") if body.get(x)]
        fields = [f"{e['field']}: {e['message']}" for e in body.get("errors", [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        words, fields = [response.text[:200]], []
    return f"{response.status_code} " + "; ".join(words + fields)
