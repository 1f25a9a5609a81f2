"""What other systems got wrong, each once for ours."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.llm import AgentPayload, HuggingFaceLocalAgent
from agents.llm.agent import AgentSettings, LocalAgent
from agents.llm.engines import Engine, EngineConfig, LLMInferenceError, ModelRegistry
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import Failure, ScriptedModel
from agents.llm.engines.transformers_model import open_model
from tests.llm.chat_models import scripted_models
from tests.llm.engines.gate import Gate, GatedModel

HELLO = AgentPayload(user_message="Hello, how are you?")


class Watched(ModelRegistry):
    """Keeps the engines that it made, and counts the steps of their models."""

    def __init__(self, gate: Gate | None = None) -> None:
        super().__init__(create=self._make)
        self.engines: list[LocalEngine] = []
        self.steps = 0
        self._gate = gate

    def _make(self, config: EngineConfig) -> Engine:
        def open_watched() -> Any:
            model = open_model(config)
            step = model.step

            def counted(states: Sequence[Any]) -> Any:
                self.steps += 1
                return step(states)

            model.step = counted  # type: ignore[method-assign]
            return model if self._gate is None else GatedModel(model, self._gate)

        self.engines.append(LocalEngine(config, open_watched))
        return self.engines[-1]


def agent_of(model: Path, models: ModelRegistry, **settings: Any) -> HuggingFaceLocalAgent:
    return HuggingFaceLocalAgent(
        str(model), device="cpu", models=models, **{"max_new_tokens": 40, **settings}
    )


async def _read(stream: AsyncIterator[str]) -> list[str]:
    return [piece async for piece in stream]


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop run until it holds; the test's timeout ends a vain wait."""
    while not holds():  # noqa: ASYNC110 - the engine's thread tells nobody
        await asyncio.sleep(0)


async def test_the_first_call_of_a_fresh_agent_loads_the_model(tiny_chat: Path) -> None:
    async with Watched() as models:
        response = await agent_of(tiny_chat, models, max_new_tokens=2).invoke(HELLO)

    assert response.response


@pytest.mark.parametrize("trusts", [True, False])
async def test_trusting_remote_code_is_no_argument_given_twice(
    trusts: bool, tiny_chat: Path
) -> None:
    async with Watched() as models:
        agent = agent_of(tiny_chat, models, max_new_tokens=2, trust_remote_code=trusts)
        assert (await agent.invoke(HELLO)).response


async def test_the_event_loop_goes_on_while_a_token_is_computed(tiny_chat: Path) -> None:
    gate = Gate()
    async with Watched(gate) as models:
        agent = agent_of(tiny_chat, models)
        gate.close(after=3)
        reading = asyncio.ensure_future(_read(agent.stream(HELLO)))
        await until(lambda: models.steps >= 3)

        for _ in range(1000):  # turns of the loop, while the model is kept from its next token
            await asyncio.sleep(0)

        assert not reading.done()
        gate.open()
        assert len(await reading) > 3


async def test_a_closed_stream_computes_at_most_two_more_tokens(tiny_chat: Path) -> None:
    gate = Gate()
    async with Watched(gate) as models:
        agent = agent_of(tiny_chat, models, max_new_tokens=500)
        stream = agent.stream(HELLO)
        await anext(stream)
        gate.close()
        before = models.steps
        await stream.aclose()
        gate.open()
        await until(lambda: models.engines[0].stats.active == 0)

        assert models.steps <= before + 2


async def test_a_stream_that_was_dropped_stops_too(tiny_chat: Path) -> None:
    async with Watched() as models:
        agent = agent_of(tiny_chat, models, max_new_tokens=500)
        async for _ in agent.stream(HELLO):
            break
        gc.collect()
        await until(lambda: models.engines[0].stats.active == 0)

        assert models.engines[0].stats.generated_tokens < 500


async def test_streams_leave_no_reference_that_keeps_the_model_loaded(tiny_chat: Path) -> None:
    async with Watched() as models:
        agent = agent_of(tiny_chat, models, max_new_tokens=5)
        for _ in range(3):
            assert [piece async for piece in agent.stream(HELLO)]
        left = agent.stream(HELLO)
        await anext(left)
        await left.aclose()

        await agent.unload_model()

        assert not agent.is_loaded
        assert models.loaded == []


async def test_four_at_once_take_hardly_more_steps_than_one(tiny_chat: Path) -> None:
    async with Watched() as models:
        agent = agent_of(tiny_chat, models, temperature=0.0)
        await agent.invoke(HELLO)
        alone, models.steps = models.steps, 0

        await asyncio.gather(*(agent.invoke(HELLO) for _ in range(4)))

        assert models.steps < 2 * alone


async def test_the_limit_counts_new_tokens_and_a_long_prompt_is_no_error(tiny_chat: Path) -> None:
    long = AgentPayload(user_message="agents " * 300)
    async with Watched() as models:
        response = await agent_of(tiny_chat, models, max_new_tokens=12).invoke(long)

    assert response.metadata["usage"]["prompt_tokens"] > 250
    assert response.metadata["usage"]["completion_tokens"] == 12


async def test_a_seed_of_zero_makes_sampling_repeatable(tiny_chat: Path) -> None:
    async with Watched() as models:
        zero, one, none = (
            agent_of(tiny_chat, models, temperature=1.5, seed=seed) for seed in (0, 1, None)
        )
        texts = [(await agent.invoke(HELLO)).response for agent in (zero, zero, one, none, none)]

    assert texts[0] == texts[1]
    assert len(set(texts)) == 4


async def test_a_failure_in_the_models_thread_reaches_who_reads_the_stream() -> None:
    failure = Failure(LLMInferenceError("the model broke"), after="one two ")
    async with scripted_models([failure, "fine"]) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        with pytest.raises(LLMInferenceError, match="the model broke"):
            await _read(agent.stream(HELLO))
        assert (await agent.invoke(HELLO)).response == "fine"


async def test_a_failure_that_nobody_foresaw_ends_the_stream_too() -> None:
    class Broken(ScriptedModel):
        def step(self, states: Sequence[Any]) -> Any:
            raise ZeroDivisionError

    create: Callable[[EngineConfig], Engine] = lambda config: LocalEngine(  # noqa: E731
        config, lambda: Broken(["never said"])
    )
    async with ModelRegistry(create=create) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        with pytest.raises(LLMInferenceError, match="ZeroDivisionError"):
            await _read(agent.stream(HELLO))
