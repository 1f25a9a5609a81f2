"""Requests that are submitted, cancelled, dropped, overdue and failing at random."""

import asyncio
import random
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from agents.llm.engines import EngineConfig, Finished, FinishReason, GenerationRequest
from agents.llm.engines.errors import EngineBusyError, LLMError
from agents.llm.engines.generation import Generation
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


class Requests(RuleBasedStateMachine):
    """Each request has one terminal event, and nothing is left over."""

    runner: ClassVar[asyncio.Runner]
    engine: ClassVar[LocalEngine]
    idle_bytes: ClassVar[int]
    submitted: ClassVar[int] = 0
    ends: ClassVar[set[str]] = set()

    def __init__(self) -> None:
        super().__init__()
        self.generations: list[Generation] = []

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
                deadline_s=deadline_s,
            )
            self.runner.run(self._submit(request, Flawed() if flawed else None))

    async def _submit(self, request: GenerationRequest, constraint: Any) -> None:
        try:
            self.generations.append(await self.engine.submit(request, constraint))
        except EngineBusyError:
            Requests.ends.add("busy")
        Requests.submitted += 1

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        data.draw(st.sampled_from(self.generations)).cancel()

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def drop(self, data: Any) -> None:
        index = data.draw(st.integers(0, len(self.generations) - 1))
        del self.generations[index]

    @precondition(lambda self: self.generations)
    @rule(data=st.data())
    def wait_for(self, data: Any) -> None:
        self.runner.run(self._ended(data.draw(st.sampled_from(self.generations))))

    @rule()
    def let_time_pass(self) -> None:
        self.runner.run(asyncio.sleep(0.002))

    async def _ended(self, generation: Generation) -> None:
        with suppress(LLMError):
            await generation.result()
        Requests.ends.add(generation._channel.finished.result().reason)

    async def _events(self, generation: Generation) -> None:
        await self._ended(generation)
        events = [event async for event in generation]
        last = events[-1]
        assert [event for event in events if isinstance(event, Finished)] == [last]
        assert "".join(event.text for event in events[:-1]) == last.text

    async def _finish(self) -> None:
        await asyncio.gather(*(self._events(generation) for generation in self.generations))
        while self.engine.stats.active or self.engine.stats.queue_length:  # noqa: ASYNC110
            await asyncio.sleep(0.001)  # until those that were dropped have left
        decoder = self.engine._worker.loaded.result()._decoder  # type: ignore[union-attr]
        assert not decoder._company.answers
        assert not decoder._turns
        assert not decoder._new
        assert not decoder._complete
        assert self.engine.stats.memory_bytes == self.idle_bytes

    def teardown(self) -> None:
        self.runner.run(self._finish())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_each_of_a_thousand_requests_ends_once_and_nothing_is_left_over(tiny_phi: Path) -> None:
    options = {"prompt_cache_bytes": 0}
    config = EngineConfig(
        model=str(tiny_phi), device="cpu", max_active=5, max_queue=20, options=options
    )
    engine = LocalEngine(config, lambda: opened(config))
    with asyncio.Runner() as runner:
        runner.run(engine.load())
        Requests.runner, Requests.engine = runner, engine
        Requests.idle_bytes = engine.stats.memory_bytes
        while Requests.submitted < 1000:
            run_state_machine_as_test(Requests, settings=SETTINGS)
        runner.run(engine.close())

    assert Requests.ends >= {*FinishReason} - {FinishReason.STOP}
    assert "busy" in Requests.ends
    assert not [t.name for t in threading.enumerate() if t.name.startswith("engine-")]
