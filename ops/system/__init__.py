"""The whole system on this machine: stack, databases, topics, keys and every service as its own process."""

from ops.system.layout import SERVICES, Layout
from ops.system.running import System, running

__all__ = ["SERVICES", "Layout", "System", "running"]
