"""What differs between the servers that the bus runs on: Redis 6.2 to 8, and Valkey.

                                        Redis 6.2   Redis 7, 8 and Valkey
scripts refused whole when memory is    no          yes, `#!lua`: see `scripts`
short, receipts and beats let through
the cause of an error in a script       hidden      told: see `replies.code_of`
pending entries that were deleted       come empty  are left out: `claim.lua` takes both

Everything else that the bus uses is the same in all: RESP2 without HELLO, CLUSTER SLOTS, XTRIM
MINID, XADD NOMKSTREAM, plain channels rather than sharded ones (a cluster tells every node).
"""

from collections.abc import Mapping
from typing import NamedTuple

from messaging.errors import BackendSetupError

OLDEST = (6, 2)
FIRST_WITH_SHEBANG = (7, 0)


class Version(NamedTuple):
    """Which server it is. Valkey calls itself Redis 7.2 where it is asked for Redis."""

    product: str
    text: str
    as_redis: tuple[int, ...]

    @property
    def has_shebang(self) -> bool:
        return self.as_redis >= FIRST_WITH_SHEBANG


def version_of(info: Mapping[str, str], url: str) -> Version:
    """The version in what INFO of the server at `url` says.

    Raises:
        BackendSetupError: older than Redis 6.2, or no server that we know.
    """
    as_redis = info.get("redis_version", "")
    product = "Valkey" if "valkey_version" in info else "Redis"
    text = info.get("valkey_version", as_redis)
    numbers = tuple(int(part) for part in as_redis.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST:
        raise BackendSetupError(
            f"the server at {url} is {product} {text or 'of an unknown version'}; guildbus needs "
            "Redis 6.2 or later, or Valkey: upgrade it, or use the bus `embedded`"
        )
    return Version(product, text, numbers)
