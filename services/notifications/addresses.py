"""Where webhooks may be sent: to the world, and inside only where an installation says so.

Whoever may register an endpoint must not be able to make this service call what only the inside reaches: databases,
consoles, a cloud's metadata. So the address that a name has is judged, not the name, and the connection is made to the
very address that was judged: a name that points elsewhere a moment later (DNS rebinding) changes nothing.
"""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

#: Inside, though the standard library takes some of these for global: shared address space, protocol assignments, the
#: metadata servers of two clouds, site-local addresses, and IPv6 prefixes whose addresses stand for IPv4 ones elsewhere.
_INSIDE = tuple(
    ip_network(n)
    for n in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "fec0::/10",
        "64:ff9b:1::/48",
        "2001::/23",
    )
)
_NAT64 = ip_network("64:ff9b::/96")


class InsideError(OSError):
    """The address lies inside; the message says which kind it is, and names it."""


class Addresses:
    """Judges addresses. ``allowed`` are networks inside that webhooks may go to all the same."""

    def __init__(self, allowed: Iterable[Network] = ()) -> None:
        self._allowed = tuple(allowed)

    def check(self, text: str) -> None:
        """Raise `InsideError` unless webhooks may go to this address (IPv4 or IPv6 in text)."""
        address = meant(ip_address(text.partition("%")[0]))
        if any(address in network for network in self._allowed):
            return
        if _is_inside(address):
            raise InsideError(f"{address} is not an address of the public internet")

    async def check_host(self, host: str) -> None:
        """Check every address that a host has now. Raises `InsideError`; a name without an address passes, for it may
        get one, and is judged again at each delivery."""
        try:
            self.check(host)
            return
        except ValueError:
            loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return
        for *_, where in found:
            self.check(str(where[0]))


def host_of(url: str) -> str:
    """The host in a URL that was accepted before."""
    return urlsplit(url).hostname or ""


def meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64); otherwise itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _is_inside(address: Address) -> bool:
    return (
        not address.is_global
        or address.is_multicast
        or address.is_reserved
        or any(address in network for network in _INSIDE)
    )


class CheckedResolver(AbstractResolver):
    """Resolves a name for a connection, and gives only addresses that were judged. Raises `InsideError` when one of
    them lies inside: a name that means both is a trap."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for one in found:
            self._addresses.check(one["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()
