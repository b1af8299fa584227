"""Callers and their roles, and API keys. A key is shown once and kept only as its SHA-256; nothing is open.

A key carries 256 random bits, so a plain digest is enough (no salt, no stretching): it cannot be
guessed, and the digest lookup reveals nothing about another key through timing.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
import structlog
from starlette.requests import Request

from shared.service.problems import Problem

KEY_LENGTH_MAX = 200
log = structlog.stdlib.get_logger("oms.security")


class Role(StrEnum):
    """Who is calling: a sales channel, a customer, a support agent, a warehouse, operations, an
    auditor, or another service that heals a gap from a feed."""

    CHANNEL = "channel"
    CUSTOMER = "customer"
    AGENT = "agent"
    WAREHOUSE = "warehouse"
    OPS = "ops"
    AUDITOR = "auditor"
    SERVICE = "service"


class Principal(msgspec.Struct, frozen=True):
    """An authenticated caller, by key or token. `channel` is set exactly for Role.CHANNEL: its only
    channel; `customer` exactly for Role.CUSTOMER: the customer's id in its orders."""

    id: str
    role: Role
    channel: str | None = None
    customer: str | None = None

    @property
    def subject(self) -> str:
        """The stable name for idempotency scopes: the same when a channel's key is rotated."""
        return f"channel:{self.channel}" if self.channel else f"{self.role}:{self.id}"


class KeyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the keys file; `sha256` is 64 lower-case hex digits of the key's digest."""

    id: str
    sha256: str
    role: Role
    channel: str | None = None
    customer: str | None = None


class KeysFileError(ValueError):
    """The keys file is missing or unusable; the message says where and what to do."""


def generate_key(role: Role) -> str:
    """A new secret key, `oms_<role>_<43 characters>`; the prefix lets secret scanners find it."""
    return f"oms_{role.value}_{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """The SHA-256 of `key` as lower-case hex, as the keys file holds it."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def write_keys_file(path: Path, entries: Iterable[KeyEntry]) -> None:
    """Write `entries` as JSON, readable by the owner only, replacing the file in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(list(entries)), indent=1) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_keys_file(path: Path) -> list[KeyEntry]:
    """The entries of the keys file; raises KeysFileError with what is wrong and where."""
    try:
        entries = msgspec.json.decode(path.read_bytes(), type=list[KeyEntry])
    except OSError as error:
        raise KeysFileError(
            f"keys file {path} cannot be read ({error.strerror}): set OMS_KEYS_FILE to a JSON "
            "file of API keys"
        ) from error
    except msgspec.MsgspecError as error:
        raise KeysFileError(
            f"keys file {path} is not a list of {{id, sha256, role, channel, customer}}: {error}"
        ) from error
    for entry in entries:
        if len(entry.sha256) != 64 or set(entry.sha256) - set("0123456789abcdef"):
            raise KeysFileError(f"keys file {path}: sha256 of {entry.id!r} is not 64 hex digits")
        for role in (Role.CHANNEL, Role.CUSTOMER):
            if (entry.role is role) != bool(getattr(entry, role)):
                raise KeysFileError(
                    f"keys file {path}: {entry.id!r} must name a {role} exactly if its role is {role}"
                )
    if len({entry.sha256 for entry in entries}) != len(entries):
        raise KeysFileError(f"keys file {path} holds the same key twice: remove one entry")
    return entries


class Keyring:
    """The known keys by digest. `reload_if_changed` lets keys rotate without a restart."""

    def __init__(self, entries: Sequence[KeyEntry] = (), path: Path | None = None) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._by_digest = _index(entries)

    @classmethod
    def from_file(cls, path: Path) -> "Keyring":
        """Read `path`; raises KeysFileError."""
        stamp = _stamp(path)
        ring = cls(read_keys_file(path), path)
        ring._stamp = stamp
        return ring

    def authenticate(self, key: bytes) -> Principal | None:
        """The caller that holds `key` (the raw header value), or None."""
        if len(key) > KEY_LENGTH_MAX:
            return None
        digest = hashlib.sha256(key).digest()
        found = self._by_digest.get(digest)
        if found is None or not hmac.compare_digest(found[0], digest):
            return None
        return found[1]

    def reload_if_changed(self) -> bool:
        """Read the file again when it changed; an unusable file keeps the old keys and is logged.

        Returns whether the keys were replaced.
        """
        stamp = _stamp(self._path)
        if self._path is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._by_digest = _index(read_keys_file(self._path))
        except KeysFileError as error:
            log.error("keys.reload_failed", reason=str(error), kept=len(self._by_digest))
            return False
        log.info("keys.reloaded", count=len(self._by_digest))
        return True


def _index(entries: Iterable[KeyEntry]) -> dict[bytes, tuple[bytes, Principal]]:
    index: dict[bytes, tuple[bytes, Principal]] = {}
    for entry in entries:
        digest = bytes.fromhex(entry.sha256)
        index[digest] = (digest, Principal(entry.id, entry.role, entry.channel, entry.customer))
    return index


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def unauthenticated(reason: str, *, error: str = "") -> Problem:
    """The 401 with the challenge that RFC 9110 demands, and the error by which RFC 6750 names it."""
    return Problem(
        401,
        "unauthenticated",
        "Authentication needed",
        detail=reason,
        headers={
            "WWW-Authenticate": 'Bearer realm="oms"' + (f', error="{error}"' if error else "")
        },
    )


class Guard:
    """Which roles may call an operation; as a FastAPI dependency it yields the Principal.

    A channel or a customer that may call it sees its own orders there (`shared.service.scope`),
    unless what it shows is `shared`: the same for everybody, as stock is.
    """

    def __init__(self, roles: frozenset[Role], *, shared: bool = False) -> None:
        self.roles = roles
        self.shared = shared

    @property
    def scope(self) -> str:
        """What a channel or customer reaches here: `own`, `shared`, or nothing where none may call."""
        scoped = self.roles & {Role.CHANNEL, Role.CUSTOMER}
        return ("shared" if self.shared else "own") if scoped else ""

    def check(self, principal: Principal | None) -> Principal:
        """`principal` if allowed; raises Problem 401 (nobody) or 403 (another role)."""
        if principal is None:
            raise unauthenticated(
                "Send `Authorization: Bearer <key or token>` or `X-API-Key: <key>`."
            )
        if principal.role not in self.roles:
            allowed = ", ".join(sorted(self.roles))
            raise Problem(
                403,
                "forbidden",
                "Not allowed for this role",
                detail=f"You have the role {principal.role}; this needs one of: {allowed}.",
                headers={"WWW-Authenticate": 'Bearer realm="oms", error="insufficient_scope"'},
            )
        return principal

    async def __call__(self, request: Request) -> Principal:
        """FastAPI's entry: the caller that the edge found."""
        return self.check(request.scope.get("oms.principal"))


def require(*roles: Role, shared: bool = False) -> Guard:
    """`Annotated[Principal, Depends(require(Role.CHANNEL, Role.AGENT))]` in a route's signature."""
    if not roles:
        raise ValueError("require() needs at least one role; declare open routes with public=True")
    return Guard(frozenset(roles), shared=shared)
