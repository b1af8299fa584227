"""Which addresses webhooks may be sent to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.addresses import Addresses, InsideError

INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.0.1",
    "169.254.169.254",
    "168.63.129.16",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:db8::1",
    "2001::1",
]
OUTSIDE = [
    "93.184.215.14",
    "8.8.8.8",
    "172.15.0.1",
    "172.32.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2606:4700::1111",
]


@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside(address: str) -> None:
    with pytest.raises(InsideError, match="not an address of the public internet"):
        Addresses().check(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_the_world(address: str) -> None:
    Addresses().check(address)


def test_what_is_allowed_is_allowed_in_every_spelling_and_nothing_else_is() -> None:
    addresses = Addresses([ip_network("10.1.0.0/16"), ip_network("::1/128")])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "::1"):
        addresses.check(address)
    for address in ("10.2.0.1", "127.0.0.1", "::2"):
        with pytest.raises(InsideError):
            addresses.check(address)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_an_ipv4_address_in_ipv6_clothes_is_judged_alike(number: int, spelling: str) -> None:
    plain = str(IPv4Address(number))

    def judged(address: str) -> bool:
        try:
            Addresses().check(address)
        except InsideError:
            return False
        return True

    assert judged(spelling.format(plain)) == judged(plain)


@given(st.sampled_from(["10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "169.254.0.0/16"]), st.data())
def test_no_address_of_a_private_network_passes(network: str, data: st.DataObject) -> None:
    inside = IPv4Network(network)
    number = data.draw(st.integers(int(inside[0]), int(inside[-1])))
    with pytest.raises(InsideError):
        Addresses().check(str(IPv4Address(number)))


async def test_names_are_judged_by_what_they_mean_and_may_have_no_address_yet() -> None:
    with pytest.raises(InsideError):
        await Addresses().check_host("localhost")
    await Addresses().check_host("nobody.invalid")
