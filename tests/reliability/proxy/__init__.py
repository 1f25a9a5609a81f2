"""What networks do to connections, in a TCP proxy between a client and a server on loopback."""

from tests.reliability.proxy.proxy import FaultyProxy

__all__ = ["FaultyProxy"]
