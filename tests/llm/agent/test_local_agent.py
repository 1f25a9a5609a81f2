"""Memory, window, tools and models of a local agent."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from agents.llm import AgentPayload, HuggingFaceLocalAgent, get_agent, get_agent_from_config
from agents.llm.agent import AgentSettings, LocalAgent
from agents.llm.agent.models import shared_models
from agents.llm.chat import InvalidChatError
from agents.llm.engines import LLMInitializationError, ModelRegistry
from agents.llm.engines.errors import (
    ContextOverflowError,
    InvalidRequestError,
    UnknownBackendError,
)
from agents.llm.engines.scripted import Hang
from agents.llm.parsing import ToolCall
from tests.llm.chat_models import scripted_models


class Recorder:
    """A script that keeps the prompts it is given."""

    def __init__(self, *replies: str) -> None:
        self.prompts: list[str] = []
        self._replies = list(replies)

    def __call__(self, prompt: str) -> str:
        self.prompts.append(prompt)
        return self._replies.pop(0) if self._replies else "Yes."


def agent_of(models: ModelRegistry, **settings: Any) -> LocalAgent:
    return LocalAgent(
        AgentSettings.of(model="script", backend="scripted", **settings), models=models
    )


def warmth(city: str) -> int:
    """Tells how warm it is."""
    return {"Paris": 31}[city]


async def test_a_session_is_remembered_and_others_know_nothing_of_it() -> None:
    script = Recorder("Hello Alice!", "Alice.", "I do not know.")
    async with scripted_models(script) as models:
        agent = agent_of(models)
        for text, session in [("I am Alice", "a"), ("Who am I?", "a"), ("Who am I?", "b")]:
            await agent.invoke(AgentPayload(user_message=text, session_id=session))

    assert "User: I am Alice\n\nAssistant: Hello Alice!\n\nUser: Who am I?" in script.prompts[1]
    assert "Alice" not in script.prompts[2]


async def test_a_question_that_is_no_payload_is_refused_with_what_to_give() -> None:
    async with scripted_models("never") as models:
        agent = agent_of(models)
        with pytest.raises(InvalidRequestError, match="not with str; give AgentPayload"):
            await agent.invoke("Who am I?")  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="not with dict; give AgentPayload"):
            await anext(agent.stream({"user_message": "Who?"}))  # type: ignore[arg-type,call-overload]


async def test_a_streamed_answer_is_remembered_and_one_left_early_is_not() -> None:
    script = Recorder("one two three", "four five six", "seven")
    async with scripted_models(script) as models:
        agent = agent_of(models)
        payload = AgentPayload(user_message="count", session_id="a")
        assert [piece async for piece in agent.stream(payload)]
        left = agent.stream(payload)
        await anext(left)
        await left.aclose()
        await agent.invoke(payload)

    assert "one two three" in script.prompts[2]
    assert "four" not in script.prompts[2]


async def test_no_session_and_a_memory_of_the_payloads_own_leave_nothing_behind() -> None:
    async with scripted_models(Recorder()) as models:
        agent = agent_of(models)
        await agent.invoke(AgentPayload(user_message="x"))
        await agent.invoke(AgentPayload(user_message="x", session_id="a", memory=[]))

    assert len(agent.memory) == 0


async def test_profile_context_and_earlier_reasoning_reach_the_model() -> None:
    script = Recorder()
    payload = AgentPayload(
        user_message="x",
        system_context="Be brief.",
        user_profile={"name": "Alice"},
        thinking_blob="She likes trains.",
    )
    async with scripted_models(script) as models:
        await agent_of(models).invoke(payload)

    for told in ("Be brief.", "name: Alice", "She likes trains."):
        assert told in script.prompts[0]


async def test_a_conversation_that_does_not_fit_is_refused_with_the_figures() -> None:
    async with scripted_models(Recorder()) as models:
        agent = agent_of(models, context_window=60, max_new_tokens=20)
        with pytest.raises(ContextOverflowError, match="context window of 60"):
            await agent.invoke(AgentPayload(user_message="word " * 50))
        assert (await agent.invoke(AgentPayload(user_message="word"))).response == "Yes."


async def test_dropping_the_oldest_says_what_was_dropped() -> None:
    script = Recorder()
    async with scripted_models(script) as models:
        agent = agent_of(models, context_window=60, max_new_tokens=20, overflow="drop_oldest")
        for text in ("first " * 35, "second"):
            response = await agent.invoke(AgentPayload(user_message=text, session_id="a"))

    assert [m["role"] for m in response.metadata["dropped_messages"]] == ["user", "assistant"]
    assert "first" in response.metadata["dropped_messages"][0]["content"]
    assert "first" not in script.prompts[1]


async def test_the_payload_limits_which_tools_may_be_called() -> None:
    def coldness(city: str) -> int:
        raise AssertionError("it may not be called")

    script = Recorder("TOOL_CALL: coldness(city=Paris)", "TOOL_CALL: warmth(city=Paris)", "31.")
    payload = AgentPayload(user_message="x", tools_available=["warmth"])
    async with scripted_models(script) as models:
        agent = agent_of(models)
        response = await agent.invoke_with_tools(payload, [warmth, coldness])
        with pytest.raises(InvalidChatError, match="'warmth'"):
            await agent.invoke(payload)

    assert "coldness" not in script.prompts[0]
    assert response.metadata["tool_results"][-1]["result"] == "31"


async def test_calls_and_results_are_remembered_in_the_session() -> None:
    script = Recorder("TOOL_CALL: warmth(city=Paris)", "31 degrees.")
    async with scripted_models(script) as models:
        agent = agent_of(models)
        await agent.invoke_with_tools(AgentPayload(user_message="x", session_id="a"), [warmth])

    roles = [message.role for message in agent.memory.recall("a")]
    assert roles == ["user", "assistant", "tool", "assistant"]


async def test_a_call_that_is_not_approved_is_told_to_the_model() -> None:
    asked: list[ToolCall] = []

    def approve(call: ToolCall) -> str:
        asked.append(call)
        return "not on Sundays"

    script = Recorder("TOOL_CALL: warmth(city=Paris)", "Then not.")
    async with scripted_models(script) as models:
        response = await agent_of(models).invoke_with_tools(
            AgentPayload(user_message="x"), [warmth], approve=approve
        )

    assert [call.name for call in asked] == ["warmth"]
    assert "not on Sundays" in script.prompts[1]
    assert response.metadata["tool_results"][0]["is_error"]


async def test_a_model_that_never_stops_calling_is_stopped() -> None:
    async with scripted_models(lambda _: "TOOL_CALL: warmth(city=Paris)") as models:
        response = await agent_of(models, max_rounds=3).invoke_with_tools(
            AgentPayload(user_message="x"), [warmth]
        )

    assert response.metadata["rounds"] == 3
    assert response.metadata["ended"] == "rounds"
    assert len(response.tool_calls) == 3  # two were run, and the last one was not
    assert len(response.metadata["tool_results"]) == 2


async def test_the_usage_of_all_rounds_is_added_up() -> None:
    async with scripted_models(Recorder("TOOL_CALL: warmth(city=Paris)", "31.")) as models:
        agent = agent_of(models)
        both = await agent.invoke_with_tools(AgentPayload(user_message="x"), [warmth])
        one = await agent.invoke(AgentPayload(user_message="x"))

    usage, single = both.metadata["usage"], one.metadata["usage"]
    assert usage["prompt_tokens"] > 2 * single["prompt_tokens"]
    assert usage["total_s"] >= usage["first_token_s"] > 0
    assert usage["total_s"] >= usage["queued_s"] >= 0


async def test_a_required_call_is_valid_from_a_random_model(tiny_chat: Path) -> None:
    def pick(number: int) -> str:
        return f"took {number}"

    # Stop strings of the settings are for free answers: they cut no call.
    stop = ("{", "}", '"', ":")
    agent = HuggingFaceLocalAgent(str(tiny_chat), max_new_tokens=60, max_rounds=2, stop=stop)
    try:
        response = await agent.invoke_with_tools(
            AgentPayload(user_message="x"), [pick], tool_choice="required"
        )
    finally:
        await agent.unload_model()

    number = response.tool_calls[0]["arguments"]["number"]
    assert response.metadata["tool_results"][0]["result"] == f"took {number}"


async def test_agents_share_a_model_until_the_last_one_lets_it_go(tiny_chat: Path) -> None:
    one, two = (HuggingFaceLocalAgent(str(tiny_chat), max_new_tokens=2) for _ in range(2))
    payload = AgentPayload(user_message="x")
    await asyncio.gather(one.invoke(payload), two.invoke(payload))
    assert shared_models().loaded == [str(tiny_chat)]

    await one.unload_model()
    assert two.is_loaded
    assert shared_models().loaded == [str(tiny_chat)]

    await two.unload_model()
    assert not two.is_loaded
    assert shared_models().loaded == []


async def test_a_model_is_not_unloaded_under_a_running_answer() -> None:
    async with scripted_models(lambda _: Hang("one two ")) as models:
        agent = agent_of(models)
        stream = agent.stream(AgentPayload(user_message="x"))
        await anext(stream)

        await agent.unload_model()
        assert models.loaded == ["script"]

        await stream.aclose()
        assert models.loaded == []


async def test_an_agent_that_nobody_holds_any_more_lets_its_model_go() -> None:
    async with scripted_models(Recorder()) as models:
        agent = agent_of(models)
        await agent.invoke(AgentPayload(user_message="x"))
        (shared,) = models._shared.values()
        assert shared.leases == 1

        del agent
        gc.collect()

        while shared.leases:  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0)


def test_an_agent_outlives_its_event_loop(tiny_chat: Path) -> None:
    agent = HuggingFaceLocalAgent(str(tiny_chat), max_new_tokens=2)

    async def ask(*, last: bool) -> str:
        response = await agent.invoke(AgentPayload(user_message="x"))
        if last:
            await agent.unload_model()
        return response.response

    assert asyncio.run(ask(last=False))
    assert asyncio.run(ask(last=True))
    assert not agent.is_loaded


@pytest.mark.parametrize(("window", "written"), [(4096, 512), (60, None)])
async def test_an_unsaid_limit_is_512_or_what_the_window_leaves(
    window: int, written: int | None
) -> None:
    async with scripted_models(lambda _: "word " * 600) as models:
        agent = agent_of(models, context_window=window)
        usage = (await agent.invoke(AgentPayload(user_message="go on"))).metadata["usage"]

    cut = window - usage["prompt_tokens"]
    assert usage["completion_tokens"] == (written or cut)
    assert usage["filled_window"] is (written is None)


async def test_a_limit_that_the_caller_set_is_never_lowered() -> None:
    async with scripted_models(lambda _: "word " * 600) as models:
        agent = agent_of(models, context_window=60, max_new_tokens=512)
        with pytest.raises(ContextOverflowError, match="512 new ones"):
            await agent.invoke(AgentPayload(user_message="go on"))


async def test_the_context_window_is_the_models_once_it_is_known(tiny_chat: Path) -> None:
    agent = HuggingFaceLocalAgent(str(tiny_chat), max_new_tokens=2)
    assert await agent.get_context_window() == 4096
    await agent.invoke(AgentPayload(user_message="x"))
    try:
        assert await agent.get_context_window() == 1024
    finally:
        await agent.unload_model()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"temperatur": 1.0}, "did you mean 'temperature'"),
        ({"temperature": 3.0}, "temperature"),
        ({"device": "tpu"}, "device"),
        ({"torch_dtype": "float8"}, "dtype"),
        ({"context_window": 0}, "context_window"),
        ({"overflow": "ignore"}, "overflow"),
    ],
)
async def test_wrong_settings_are_refused_by_name(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(LLMInitializationError, match=told):
        await get_agent(backend="huggingface", model="a/b", **settings)


async def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UnknownBackendError, match="did you mean 'huggingface'"):
        await get_agent(backend="hugingface", model="a/b")


async def test_a_model_that_is_nowhere_says_what_to_do(tmp_path: Path) -> None:
    agent = HuggingFaceLocalAgent(str(tmp_path / "nothing"))

    with pytest.raises(LLMInitializationError, match="save_pretrained"):
        await agent.invoke(AgentPayload(user_message="x"))
    assert not agent.is_loaded


async def test_too_many_stop_texts_are_refused() -> None:
    async with scripted_models(Recorder()) as models:
        agent = agent_of(models, stop=tuple("abcdefghijklmno"))
        with pytest.raises(InvalidRequestError, match="stop"):
            await agent.invoke(AgentPayload(user_message="x"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[other]\n", "no table"),
        ("[llm]\nbackend = 'scripted'\n", "which model"),
        ("[llm]\nmodel = 'a'\n", "which backend"),
        ("[llm]\n[midori_ai_agent_base]\n", "both"),
        ("[llm\n", "no TOML"),
        ("[llm]\nbackend = 'scripted'\nmodel = 'a'\nscripted = 1\n", "'scripted' is no table"),
        ("[llm]\nbackend = 'huggingface'\nmodel = 'a'\ntemperatur = 1\n", "did you mean"),
    ],
)
async def test_a_configuration_that_describes_no_agent_is_refused(
    text: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(LLMInitializationError, match=told):
        await get_agent_from_config(config_path=path)
    with pytest.raises(LLMInitializationError, match="cannot be read"):
        await get_agent_from_config(config_path=tmp_path / "none.toml")


async def test_other_backends_take_their_own_options(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(
        "[llm]\nbackend = 'scripted'\nmodel = 'script'\n"
        "[llm.scripted]\nmax_new_tokens = 5\nreplies = ['Hello!']\n",
        encoding="utf-8",
    )

    agent = await get_agent_from_config(path)

    assert (await agent.invoke(AgentPayload(user_message="x"))).response == "Hello!"
    await agent.unload_model()
