"""`python -m benchmarks fence`: what the fence and the sequence of a commit cost the server."""

import statistics

from benchmarks.costs import TOPIC, sealed
from benchmarks.measure import Meter
from messaging.backend import Consumer, Settlement
from messaging.backends.redis.backend import RedisBackend
from messaging.backends.redis.scripts import Script, make_script
from messaging.urls import open_backend

BATCH = 64
ROUNDS = 9
_FENCE = ("local member = redis.call", "if doubts then")
_RECORD = "redis.call('HSET', KEYS[1], incarnation, sequence .. ':' .. skipped_now)\n"


async def measure(url: str, meter: Meter, messages: int) -> str:
    """Server time per message, publish to commit, with and without; rounds in turn."""
    backend = open_backend(url, "bench-fence")
    assert isinstance(backend, RedisBackend)
    await backend.open()
    try:
        await backend.subscribe("readers", (TOPIC,))
        assert backend._parts is not None  # noqa: SLF001 - no user may take the fence away
        scripts = backend._parts.server.scripts  # noqa: SLF001
        fenced, bare = scripts.settle, unfenced(scripts.settle)
        # Each has a consumer of its own: whoever commits unfenced leaves no sequence behind.
        consumers = {script: await backend.join("readers") for script in (fenced, bare)}
        figures: dict[Script, list[float]] = {fenced: [], bare: []}
        for number in range(ROUNDS + 1):
            for script, consumer in consumers.items():
                scripts.settle = script
                measured = await _round(backend, consumer, meter, messages)
                if number:  # the first one warms up
                    figures[script].append(measured)
    finally:
        await backend.close()
    with_us, without_us = (statistics.median(figures[script]) for script in (fenced, bare))
    return (
        f"server CPU, publish to commit in batches of {BATCH}: {with_us:.2f} µs a message with the "
        f"fence, {without_us:.2f} without; the fence is {1 - without_us / with_us:.1%} of it"
    )


def unfenced(script: Script) -> Script:
    """A commit that settles for whoever asks, as often as he asks."""
    start, end = (script.text.index(mark) for mark in _FENCE)
    assert _RECORD in script.text
    text = script.text[:start] + script.text[end:].replace(_RECORD, "")
    return make_script("unfenced", text)


async def _round(backend: RedisBackend, consumer: Consumer, meter: Meter, messages: int) -> float:
    batches = [sealed(BATCH) for _ in range(max(1, messages // BATCH))]

    async def work() -> None:
        for batch in batches:
            await backend.append(batch)
            deliveries = await consumer.read(BATCH, 1.0)
            await consumer.commit([Settlement(delivery) for delivery in deliveries])

    timed = await meter.timed(work, BATCH * len(batches), is_on_server=True)
    return timed.server_cpu_us
