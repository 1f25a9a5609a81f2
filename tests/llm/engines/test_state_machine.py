"""Requests that are submitted, cancelled, dropped, overdue and failing at random."""

import asyncio
import gc
import random
import threading
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from agents.llm.engines import EngineConfig, Finished, FinishReason, GenerationRequest
from agents.llm.engines.answer import Answer
from agents.llm.engines.errors import EngineBusyError, LLMError
from agents.llm.engines.generation import Generation
from agents.llm.engines.job import Job
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.transformers_model import TransformersModel, open_model

RAISES, IS_NAN, NEEDS_MEMORY = 5, 6, 7  # tokens of prompts that make a forward fail


SETTINGS = settings(
    max_examples=10,
    stateful_step_count=20,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class Flawed:
    """A constraint that raises at its third token."""

    is_finished = False

    def __init__(self) -> None:
        self._accepted = 0

    def fill(self, words: Any) -> None:
        words[:] = -1

    def accept(self, token_id: int) -> None:
        self._accepted += 1
        if self._accepted == 3:
            raise RuntimeError("lost the thread")

    def forced(self) -> tuple[int, ...]:
        return ()


def opened(config: EngineConfig) -> TransformersModel:
    model = open_model(config)
    forward = model._model.forward

    def flawed(**inputs: Any) -> Any:
        ids = inputs["input_ids"]
        if RAISES in ids:
            raise RuntimeError("kernel fault")
        if NEEDS_MEMORY in ids:
            raise torch.OutOfMemoryError("no")
        output = forward(**inputs)
        output.logits[(ids == IS_NAN).any(dim=1)] = torch.nan
        return output

    model._model.forward = flawed
    return model


def engine_threads(*, beside: Collection[threading.Thread] = ()) -> list[threading.Thread]:
    """Those that run, `beside` those of other tests' engines, which may be about to end."""
    return [
        thread
        for thread in threading.enumerate()
        if thread.name.startswith("engine-") and thread not in beside
    ]


class Requests(RuleBasedStateMachine):
    """Each request has one terminal event, and nothing is left over."""

    runner: ClassVar[asyncio.Runner]
    engine: ClassVar[LocalEngine]
    idle_bytes: ClassVar[int]
    kept_bytes: ClassVar[int]
    others: ClassVar[list[threading.Thread]]
    submitted: ClassVar[int] = 0
    ends: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.generations: list[tuple[Generation, int]] = []  # each with its limit

    @rule(
        count=st.integers(1, 6),
        seed=st.integers(0, 2**32),
        deadline_s=st.sampled_from([None, None, 0.0001, 0.01]),
        flawed=st.sampled_from([False, False, False, True]),
    )
    def submit(self, count: int, seed: int, deadline_s: float | None, flawed: bool) -> None:
        rng = random.Random(seed)
        for _ in range(count):
            new_tokens = rng.choice([1, 3, 30])
            request = GenerationRequest(
                prompt_ids=tuple(rng.randrange(3, 100) for _ in range(rng.choice([1, 5, 60]))),
                max_new_tokens=new_tokens,
                do_sample=rng.random() < 0.5,
                logprobs=rng.choice([None, 0, 3]),
                repetition_penalty=rng.choice([1.0, 1.3]),
                stop=rng.choice([(), (), ("e",)]),
                deadline_s=deadline_s,
            )
            self.runner.run(self._submit(request, Flawed() if flawed else None))

    async def _submit(self, request: GenerationRequest, constraint: Any) -> None:
        try:
            generation = await self.engine.submit(request, constraint)
        except EngineBusyError:
            Requests.ends.add("busy")
            return
        self.generations.append((generation, request.max_new_tokens or 0))
        Requests.submitted += 1

    def drawn(self, data: Any) -> Generation:
        return self.generations[data.draw(st.integers(0, len(self.generations) - 1))][0]

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        self.drawn(data).cancel()

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        index = data.draw(st.integers(0, len(self.generations) - 1))
        del self.generations[index]

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def wait_for(self, data: Any) -> None:
        self.runner.run(self._ended(self.drawn(data)))

    @rule()
    def let_time_pass(self) -> None:
        self.runner.run(asyncio.sleep(0.002))

    async def _ended(self, generation: Generation) -> None:
        with suppress(LLMError):
            await generation.result()
        Requests.ends.add(generation._channel.finished.result().reason)

    async def _events(self, generation: Generation, limit: int) -> None:
        await self._ended(generation)
        events = [event async for event in generation]
        last = events[-1]
        assert [event for event in events if isinstance(event, Finished)] == [last]
        assert "".join(event.text for event in events[:-1]) == last.text
        assert (last.error is not None) == (last.reason is FinishReason.ERROR)
        assert len(last.token_ids) <= limit
        if last.reason is FinishReason.LENGTH:
            assert len(last.token_ids) == limit

    async def _finish(self) -> None:
        await asyncio.gather(*(self._events(*each) for each in self.generations))
        while self.engine.stats.active or self.engine.stats.queue_length:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # until those that were dropped have left
        decoder = self.engine._worker.loaded.result()._decoder  # type: ignore[union-attr]
        assert not decoder._company.answers
        assert not decoder._company._pool.rows
        assert not decoder._turns
        assert not decoder._alone
        assert not decoder._new
        assert not decoder._complete
        left = self.engine.stats.memory_bytes - self.idle_bytes
        assert left == decoder._prefixes.nbytes <= self.kept_bytes

    def teardown(self) -> None:
        self.runner.run(self._finish())
        self.generations.clear()
        assert len(engine_threads(beside=self.others)) == 1


def left_over() -> list[object]:
    """What requests have left in this process, those of other tests too."""
    return [kept for kept in gc.get_objects() if type(kept) in {Job, Answer}]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kept_bytes", [0, 100_000], ids=["", "with beginnings kept"])
def test_each_of_a_thousand_requests_ends_once_and_nothing_is_left_over(
    tiny_phi: Path, kept_bytes: int
) -> None:
    before, held = engine_threads(), left_over()
    options = {"prompt_cache_bytes": kept_bytes}
    config = EngineConfig(
        model=str(tiny_phi), device="cpu", max_active=5, max_queue=20, options=options
    )
    engine = LocalEngine(config, lambda: opened(config))
    with asyncio.Runner() as runner:
        runner.run(engine.load())
        Requests.runner, Requests.engine = runner, engine
        Requests.idle_bytes, Requests.kept_bytes = engine.stats.memory_bytes, kept_bytes
        Requests.submitted, Requests.ends = 0, set()
        Requests.others = before
        ways, least = {*FinishReason, "busy"}, 1000 if kept_bytes == 0 else 200
        while Requests.submitted < least or not (
            Requests.ends >= ways or Requests.submitted > 3000
        ):
            run_state_machine_as_test(Requests, settings=SETTINGS)
        runner.run(engine.close())
    gc.collect()

    assert not [kept for kept in left_over() if not any(kept is other for other in held)]
    assert Requests.ends >= ways
    assert not engine_threads(beside=before)
