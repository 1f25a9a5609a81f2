"""Long payloads lie beside their stream, so that many entries can be lent in one short answer.

An entry whose payload is longer than 64 KiB holds its length in `c` instead of the payload in `p`.
The payload is in a second stream, `<stream>!`, under the same position, and is trimmed with it.
"""

import asyncio
from collections.abc import Sequence

from messaging.backend import Delivery, Entry
from messaging.backends.redis.server import Server
from messaging.wire.envelope import Envelope

AT_ONCE_BYTES = 8 * 1024 * 1024


class ClaimCheck(bytes):
    """Stands for a payload that was not fetched yet: its length, as the entry has it."""

    @property
    def size_bytes(self) -> int:
        return int(self)


def is_claimed(envelope: Envelope) -> bool:
    """Whether the payload has yet to be fetched."""
    return isinstance(envelope.payload, ClaimCheck)


async def redeem_first(server: Server, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """`deliveries` with the first payloads fetched, as many as fit into a few megabytes.

    One whose payload is gone says so in `fault`.
    """
    chosen: list[int] = []
    room_bytes = AT_ONCE_BYTES
    for index, delivery in enumerate(deliveries):
        if is_claimed(delivery.envelope):
            room_bytes -= _size_of(delivery.envelope)
            if room_bytes < 0 and chosen:
                break
            chosen.append(index)
    redeemed = list(deliveries)
    payloads = await asyncio.gather(
        *[_fetch(server, redeemed[i].envelope.topic, redeemed[i].position) for i in chosen]
    )
    for index, payload in zip(chosen, payloads, strict=True):
        redeemed[index] = _with_payload(redeemed[index], payload)
    return redeemed


async def redeem_all(server: Server, deliveries: Sequence[Delivery]) -> list[Delivery]:
    """`deliveries` with every payload."""
    redeemed = list(deliveries)
    while any(is_claimed(delivery.envelope) for delivery in redeemed):
        redeemed = await redeem_first(server, redeemed)
    return redeemed


async def redeem_entry(server: Server, entry: Entry) -> Entry | None:
    """`entry` with its payload; None when it was trimmed meanwhile."""
    if not is_claimed(entry.envelope):
        return entry
    payload = await _fetch(server, entry.envelope.topic, entry.position)
    return None if payload is None else entry._replace(envelope=_filled(entry.envelope, payload))


def _with_payload(delivery: Delivery, payload: bytes | None) -> Delivery:
    if payload is not None:
        return delivery._replace(envelope=_filled(delivery.envelope, payload))
    return delivery._replace(
        envelope=_filled(delivery.envelope, b""),
        fault=f"an entry on {delivery.envelope.topic} has lost its payload of "
        f"{_size_of(delivery.envelope):,} bytes, which lay beside the stream: it was deleted by "
        "somebody else",
    )


def _filled(envelope: Envelope, payload: bytes) -> Envelope:
    return envelope._replace(payload=payload)


def _size_of(envelope: Envelope) -> int:
    return envelope.payload.size_bytes if isinstance(envelope.payload, ClaimCheck) else 0


async def _fetch(server: Server, topic: str, position: str) -> bytes | None:
    beside = server.keys.beside(topic)
    found = await server.connection.call("XRANGE", beside, position, position)
    return bytes(found[0][1][1]) if found and found[0][1] else None
