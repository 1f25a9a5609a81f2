"""How large a commit gets, and a value in it: a server serves nothing else while it takes one."""

from collections.abc import Sequence

from messaging.backend import RESERVED_PREFIX, Settlement, StateWrite
from messaging.errors import PayloadTooLargeError

MOST_AT_ONCE = 512
MOST_BYTES_AT_ONCE = 4 * 1024 * 1024


def size_of(settlement: Settlement) -> int:
    """Bytes of what `settlement` sends and writes, without headers and reasons."""
    _, outbox, state, dead = settlement
    size_bytes = 0
    for sent in outbox:
        size_bytes += len(sent.payload)
    for write in state:
        size_bytes += len(write.value or b"")
    return size_bytes if dead is None else size_bytes + len(dead.envelope.payload)


def first_batch(settlements: Sequence[Settlement]) -> int:
    """How many of `settlements`, from the first on, are committed at once; at least one."""
    count = size_bytes = 0
    for settlement in settlements[:MOST_AT_ONCE]:
        _, outbox, state, dead = settlement
        if outbox or state or dead is not None:
            size_bytes += size_of(settlement)
            if size_bytes > MOST_BYTES_AT_ONCE:
                return max(1, count)
        count += 1
    return count


def check_value(write: StateWrite, group: str, limit_bytes: int) -> None:
    """See that an agent's value is not past `limit_bytes`; the bus keeps its own short.

    Raises:
        PayloadTooLargeError: it is.
    """
    size_bytes = len(write.value or b"")
    if size_bytes > limit_bytes and not write.key.startswith(RESERVED_PREFIX):
        raise PayloadTooLargeError(f"{group}'s {write.key}", size_bytes, limit_bytes)
