"""Whose orders a caller may see and act for: the one place that decides it.

A channel's caller sees the orders of its channel, a customer's caller its own; the others see every order that their
role's operations show. Somebody else's order is answered as one that does not exist, so that nobody learns of it.
"""

from shared.service.problems import Problem
from shared.service.security import Principal, Role

#: Roles that see their own orders only.
SCOPED = frozenset((Role.CHANNEL, Role.CUSTOMER))


def may_see(who: Principal, *, channel: str, customer: str) -> bool:
    """Whether an order of this channel and customer (its id, empty for a guest) is the caller's to see."""
    if who.role is Role.CHANNEL:
        return bool(channel) and who.channel == channel
    if who.role is Role.CUSTOMER:
        return bool(customer) and who.customer == customer
    return True


def channel_of(who: Principal, asked: str) -> str:
    """The channel to list, where ``asked`` was asked for: a channel's caller gets its own, whatever it asks."""
    return who.channel or "" if who.role is Role.CHANNEL else asked


def check_channel(who: Principal, channel: str) -> None:
    """A channel's caller acts for its own channel only; raises Problem 403 otherwise."""
    if who.role is Role.CHANNEL and who.channel != channel:
        raise Problem(
            403,
            "other-channel",
            "Not your channel",
            detail=f"You act for the channel {who.channel!r}.",
        )
