"""What `guildbus chat` keeps of a conversation, and whose moment Ctrl-C is."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable

import pytest

from agents.llm.dialogue import Sampling
from agents.llm.engines import EngineConfig, LLMInferenceError
from agents.llm.engines.scripted import Failure, Reply, scripted_engine
from agents.llm.repl.conversation import Conversation
from agents.llm.repl.interrupts import Interrupts

Open = Callable[..., Conversation]


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    engines = []

    async def open_(script: Callable[[str], Reply], system: str = "") -> Conversation:
        engines.append(scripted_engine(script, EngineConfig(model="m", backend="scripted")))
        await engines[-1].load()
        return Conversation(engines[-1], system, Sampling(), None)

    yield open_
    for engine in engines:
        await engine.close()


async def test_a_question_that_failed_is_forgotten(
    opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts: list[str] = []

    def reply(prompt: str) -> Reply:
        prompts.append(prompt)
        return Failure(LLMInferenceError("broken"), "half") if "bad" in prompt else "fine"

    conversation = await opened(reply)
    for question in ("first", "bad one", "last"):
        await conversation.answer(question)

    out, err = capsys.readouterr()
    assert out == "fine\nhalf\nfine\n"
    assert "broken" in err
    assert conversation.has_failed
    assert "first" in prompts[-1]
    assert "fine" in prompts[-1]
    assert "bad" not in prompts[-1]
    assert "half" not in prompts[-1]


async def test_clearing_forgets_all_but_what_the_model_was_told_first(opened: Open) -> None:
    prompts: list[str] = []

    def reply(prompt: str) -> Reply:
        prompts.append(prompt)
        return "fine"

    conversation = await opened(reply, "Be brief.")
    await conversation.answer("first")
    conversation.clear()
    await conversation.answer("second")

    assert "first" in prompts[0]
    assert "Be brief." in prompts[1]
    assert "first" not in prompts[1]
    assert "fine" not in prompts[1]


async def test_reasoning_is_no_part_of_a_piped_answer(
    opened: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    conversation = await opened(lambda _: "<think>let me see</think>The answer\nis 4.")

    await conversation.answer("2 + 2?")

    assert capsys.readouterr().out.strip() == "The answer is 4."


async def test_ctrl_c_before_the_first_moment_of_an_answer_ends_it() -> None:
    interrupts, begun = Interrupts(), []

    async def answering() -> None:
        begun.append(1)
        await asyncio.Event().wait()

    with interrupts.installed():
        os.kill(os.getpid(), signal.SIGINT)  # the question has been read: no prompt is there
        await interrupts.until_interrupted(answering())
        with interrupts.reading(), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        later = asyncio.create_task(interrupts.until_interrupted(answering()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)
        await later

    assert begun == [1]  # the later one; Ctrl-C at a prompt is no Ctrl-C for the next answer


async def test_an_error_of_an_answer_is_raised_as_it_is() -> None:
    async def failing() -> None:
        raise LLMInferenceError("broken")

    with pytest.raises(LLMInferenceError, match="broken"):
        await Interrupts().until_interrupted(failing())
