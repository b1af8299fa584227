"""API keys of a local system: made once per data directory, kept 0600; services get hashes only."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ops.stack.process import write_atomically
from shared.service.security import KeyEntry, Role, generate_key, hash_key, write_keys_file

#: Sales channels of a local system.
CHANNELS = ("web", "shop", "marketplace")


class _Stored(msgspec.Struct):
    payments: str
    keys: dict[str, dict[str, str]]
    tracking: str = ""


@dataclass(frozen=True)
class Keys:
    """The plain keys, for the command line and the demo: per service, by role or channel."""

    folder: Path
    payments: str
    by_service: dict[str, dict[str, str]]
    tracking: str

    def key(self, service: str, role: str) -> str:
        """A service's key for a role, or for a channel by ``channel:<name>``."""
        return self.by_service[service][role]

    @property
    def service(self) -> str:
        """The key by which services read each other's feeds."""
        return self.by_service["order"]["service"]

    @property
    def tracking_keys(self) -> str:
        """What signs tracking links, as the setting wants it."""
        return msgspec.json.encode({"1": self.tracking}).decode()

    def file(self, service: str) -> Path:
        """The hashed keys that a service reads."""
        return self.folder / f"{service}.json"

    def bearer(self, service: str, role: str) -> dict[str, str]:
        """The header that authenticates a request."""
        return {"Authorization": f"Bearer {self.key(service, role)}"}


def ensure_keys(data: Path, services: tuple[str, ...]) -> Keys:
    """The keys of a data directory, made when they are not there yet."""
    folder = data / "keys"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    plain = folder / "plain.json"
    if plain.exists():
        stored = msgspec.json.decode(plain.read_bytes(), type=_Stored)
    else:
        stored = _Stored(payments=generate_key(Role.SERVICE), keys={})
    stored.tracking = stored.tracking or secrets.token_urlsafe(32)
    peer = (
        next(iter(stored.keys.values()))["service"] if stored.keys else generate_key(Role.SERVICE)
    )
    for service in services:
        if service not in stored.keys:
            stored.keys[service] = {"service": peer, **_fresh()}
        write_keys_file(folder / f"{service}.json", _entries(stored.keys[service]))
    write_atomically(plain, msgspec.json.format(msgspec.json.encode(stored), indent=2).decode())
    return Keys(folder, stored.payments, stored.keys, stored.tracking)


def _fresh() -> dict[str, str]:
    roles = (Role.AGENT, Role.WAREHOUSE, Role.OPS, Role.AUDITOR)
    keys = {role.value: generate_key(role) for role in roles}
    return keys | {f"channel:{name}": generate_key(Role.CHANNEL) for name in CHANNELS}


def _entries(keys: dict[str, str]) -> list[KeyEntry]:
    return [
        KeyEntry(
            id=name.replace(":", "-"),
            sha256=hash_key(key),
            role=Role(name.partition(":")[0]),
            channel=name.partition(":")[2] or None,
        )
        for name, key in keys.items()
    ]
