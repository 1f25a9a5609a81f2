import pytest

from agents.llm.engines import (
    EngineConfig,
    FinishReason,
    GenerationRequest,
    LLMInferenceError,
    LLMInitializationError,
    TextDelta,
    create_engine,
)
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import OutOfMemoryError
from agents.llm.engines.scripted import Failure, Hang, scripted_engine


async def reply(engine: Engine, prompt: str, **settings: float) -> str:
    generation = await engine.submit(GenerationRequest(prompt=prompt, **settings))
    return (await generation.result()).text


async def test_it_answers_by_prompt_and_says_when_there_is_no_answer() -> None:
    engine = scripted_engine({"2 + 2": "4", "hello": "hello  to\nyou"})

    assert await reply(engine, "2 + 2") == "4"
    assert await reply(engine, "hello") == "hello  to\nyou"
    with pytest.raises(LLMInferenceError, match="no reply to 'bye'"):
        await reply(engine, "bye")
    await engine.close()


async def test_it_answers_in_order_until_the_script_ends() -> None:
    engine = scripted_engine(["first", "second"])

    assert [await reply(engine, "x"), await reply(engine, "x")] == ["first", "second"]
    with pytest.raises(LLMInferenceError, match="only 2 replies"):
        await reply(engine, "x")
    await engine.close()


async def test_it_streams_words() -> None:
    engine = scripted_engine(["one two three"])
    generation = await engine.submit(GenerationRequest(prompt="x"))

    deltas = [event.text async for event in generation if isinstance(event, TextDelta)]

    assert deltas == ["one", " two", " three"]
    await engine.close()


async def test_it_fails_on_demand_after_some_text() -> None:
    engine = scripted_engine([Failure(OutOfMemoryError("no memory left"), after="so far")])
    generation = await engine.submit(GenerationRequest(prompt="x"))

    with pytest.raises(OutOfMemoryError):
        await generation.result()
    *_, last = [event async for event in generation]
    assert (last.reason, last.text) == (FinishReason.ERROR, "so far")
    await engine.close()


async def test_it_hangs_on_demand_until_the_deadline() -> None:
    engine = scripted_engine([Hang(after="so far")])
    assert await reply(engine, "x", deadline_s=0.5) == "so far"  # two steps on a busy machine
    await engine.close()


async def test_it_can_be_configured_without_code() -> None:
    options = {"replies": {"ping": "pong"}}
    engine = create_engine(EngineConfig(model="twin", backend="scripted", options=options))

    assert await reply(engine, "ping") == "pong"
    await engine.close()


@pytest.mark.parametrize("options", [{}, {"replies": 3}, {"replies": [1]}, {"replies": [], "x": 1}])
def test_a_configuration_without_a_script_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(LLMInitializationError, match="replies"):
        create_engine(EngineConfig(model="twin", backend="scripted", options=options))
