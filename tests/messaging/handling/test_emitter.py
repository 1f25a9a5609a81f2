"""Emitting: never waited for, never in the way, bounded."""

import asyncio
from collections.abc import Sequence

import pytest

from messaging.errors import BackendUnavailableError
from messaging.handling import emitter as emitting
from messaging.handling.emitter import Emitter
from messaging.wire.envelope import Envelope
from tests.messaging.conftest import Site
from tests.messaging.notes import note, notes, texts


class Sink:
    """Takes batches, once it is let to."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Envelope]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def send(self, batch: Sequence[Envelope]) -> None:
        await self.open.wait()
        if self.error is not None:
            raise self.error
        self.batches.append(batch)

    @property
    def count(self) -> int:
        return sum(map(len, self.batches))


async def test_what_is_emitted_in_one_tick_leaves_in_one_batch() -> None:
    sink = Sink()
    emitter = Emitter(sink.send)
    emitter.open()

    for envelope in notes(100):
        emitter.emit(envelope)
    await emitter.flush()

    assert [len(batch) for batch in sink.batches] == [100]


async def test_emits_of_many_threads_all_leave() -> None:
    sink = Sink()
    emitter = Emitter(sink.send)
    emitter.open()

    def emit_some() -> None:
        for envelope in notes(200):
            emitter.emit(envelope)

    await asyncio.gather(*(asyncio.to_thread(emit_some) for _ in range(5)))
    await emitter.close()

    assert sink.count == 1_000


async def test_a_stuck_server_costs_the_oldest_items_and_no_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(emitting, "MOST_WAITING", 50)
    sink = Sink()
    sink.open.clear()
    emitter = Emitter(sink.send)
    emitter.open()
    envelopes = notes(80)

    for envelope in envelopes:
        emitter.emit(envelope)
    sink.open.set()
    await emitter.flush()

    assert [*sink.batches[0]] == envelopes[30:]
    assert emitter.dropped == 30


async def test_a_failing_server_is_nobodys_problem_but_counted() -> None:
    sink = Sink()
    sink.error = BackendUnavailableError("away")
    emitter = Emitter(sink.send)
    emitter.open()

    emitter.emit(note("lost"))
    await emitter.flush()
    sink.error = None
    emitter.emit(note("kept"))
    await emitter.flush()

    assert (emitter.dropped, sink.count) == (1, 1)


async def test_after_closing_nothing_leaves_any_more() -> None:
    sink = Sink()
    emitter = Emitter(sink.send)
    emitter.open()
    await emitter.close()

    emitter.emit(note("late"))
    await emitter.flush()

    assert sink.count == 0


async def test_what_is_too_long_takes_nothing_else_with_it(site: Site) -> None:
    backend = await site.open(max_envelope_bytes=1_000)
    await backend.open_ephemeral("_emit.a", ttl_s=60, max_entries=10)
    emitter = Emitter(backend.emit)
    emitter.open()

    for text in ("before", "x" * 2_000, "behind"):
        emitter.emit(note(text, "_emit.a"))
    await emitter.close()

    seen = await backend.tail({"_emit.a": ""}, max_count=10, wait_s=0.0)
    assert texts(seen) == ["before", "behind"]
    assert emitter.dropped == 1
