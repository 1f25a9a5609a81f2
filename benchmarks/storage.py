"""What a stored message costs in the server's memory."""

from redis import Redis

from messaging import Message, connect

COUNT = 5_000
PAYLOAD_BYTES = 200


class Stored(Message, frozen=True, wire_name="bench.stored"):
    """Its JSON has 200 bytes."""

    text: str = "x" * (PAYLOAD_BYTES - len('{"text":""}'))


async def stored_bytes(url: str, server: Redis) -> str:
    """Bytes per message of the whole stream, and how many times the payload that is."""
    async with connect(url, "bench-storage") as bus:
        await bus.publish_many("stored", [Stored() for _ in range(COUNT)])
    usage = server.memory_usage("{bench-storage}:t:stored", samples=0)
    each = usage / COUNT
    return f"{each:.0f} ({each / PAYLOAD_BYTES:.2f} times the payload)"
