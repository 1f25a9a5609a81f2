"""Dead letters hold whole payloads: whoever looks at some is not sent all."""

from messaging.bus import Bus
from tests.messaging.backends.redis.conftest import Guild, command
from tests.messaging.notes import given_up, joined, note, take

COUNT, PAYLOAD_BYTES = 100, 500_000


async def test_a_page_of_large_letters_is_a_short_one(guild: Guild) -> None:
    backend = await guild.open()
    worker = await joined(backend, "workers")
    await backend.append([note("x" * PAYLOAD_BYTES) for _ in range(COUNT)])
    await worker.commit([given_up(job, "workers") for job in await take(worker, COUNT)])
    before = await sent_bytes(guild)

    letters = await backend.dead_letters(max_count=3)

    assert len(letters) == 3
    assert await sent_bytes(guild) - before < 4 * PAYLOAD_BYTES
    async with Bus(backend, owns_backend=False) as bus:
        async for _ in bus.dead_letters.find():
            break
        assert await sent_bytes(guild) - before < 40 * PAYLOAD_BYTES
        assert len([letter async for letter in bus.dead_letters.find()]) == COUNT


async def sent_bytes(guild: Guild) -> int:
    info = (await command(await guild.open(), "INFO", "stats")).decode()
    (line,) = [line for line in info.splitlines() if line.startswith("total_net_output_bytes")]
    return int(line.partition(":")[2])
