"""The examples of the local agent's document, on a small model."""

import asyncio
from pathlib import Path

import pytest

from agents.llm import (
    AgentPayload,
    HuggingFaceLocalAgent,
    MemoryEntryData,
    get_agent,
    get_agent_from_config,
)
from agents.llm.agent import AgentSettings, LocalAgent
from agents.llm.engines import LLMInitializationError
from tests.llm.chat_models import scripted_models


def greeting(**more: object) -> AgentPayload:
    return AgentPayload(
        **{
            "user_message": "Hello, how are you?",
            "thinking_blob": "",
            "system_context": "You are a helpful assistant.",
            "user_profile": {},
            "tools_available": [],
            "session_id": "session-123",
            **more,
        }
    )


async def test_direct_usage_loads_on_the_first_call_and_unloads(tiny_chat: Path) -> None:
    agent = HuggingFaceLocalAgent(
        model=str(tiny_chat), device="auto", max_new_tokens=12, temperature=0.7
    )
    assert not agent.is_loaded

    response = await agent.invoke(greeting())

    assert response.response
    assert agent.is_loaded
    assert response.metadata["finish_reason"] == "length"
    assert response.metadata["usage"]["completion_tokens"] == 12
    assert response.metadata["usage"]["prompt_tokens"] > 10
    await agent.unload_model()
    assert not agent.is_loaded
    assert (await agent.invoke(greeting())).response  # it loads again
    await agent.unload_model()


async def test_the_streamed_pieces_are_the_answer(tiny_chat: Path) -> None:
    agent = HuggingFaceLocalAgent(str(tiny_chat), max_new_tokens=12, seed=0)
    try:
        pieces = [token async for token in agent.stream(greeting(session_id=""))]
        whole = await agent.invoke(greeting(session_id=""))
    finally:
        await agent.unload_model()

    assert len(pieces) > 3
    assert "".join(pieces) == whole.response
    assert await agent.supports_streaming()


async def test_the_factory_takes_the_documents_arguments(tiny_chat: Path) -> None:
    agent = await get_agent(
        backend="huggingface", model=str(tiny_chat), api_key="", device="cpu", max_new_tokens=4
    )
    try:
        assert isinstance(agent, HuggingFaceLocalAgent)
        assert (await agent.invoke(greeting())).response
    finally:
        await agent.unload_model()


@pytest.mark.parametrize("table", ["midori_ai_agent_base", "llm"])
async def test_the_configuration_file_is_read(table: str, tiny_chat: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        f"""
        [{table}]
        backend = "huggingface"
        model = "{tiny_chat}"

        [{table}.huggingface]
        device = "auto"
        torch_dtype = "auto"
        max_new_tokens = 6
        temperature = 0.5
        """,
        encoding="utf-8",
    )

    agent = await get_agent_from_config(config_path=str(config))

    assert isinstance(agent, HuggingFaceLocalAgent)
    assert agent.settings.temperature == 0.5
    assert agent.settings.max_new_tokens == 6
    try:
        assert (await agent.invoke(greeting())).metadata["usage"]["completion_tokens"] == 6
    finally:
        await agent.unload_model()


def test_the_twelve_parameters_have_the_documents_names_and_defaults() -> None:
    settings = HuggingFaceLocalAgent("a/b").settings

    expected = {
        "model": "a/b",
        "device": "auto",
        "torch_dtype": "auto",
        "max_new_tokens": None,  # 512, or what the window leaves
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 50,
        "do_sample": True,
        "context_window": 4096,
        "trust_remote_code": False,
        "load_in_8bit": False,
        "load_in_4bit": False,
    }
    assert {name: getattr(settings, name) for name in expected} == expected
    assert settings == AgentSettings(model="a/b")


async def test_memory_history_reaches_the_model() -> None:
    prompts: list[str] = []

    def script(prompt: str) -> str:
        prompts.append(prompt)
        return "Alice."

    memory = [
        MemoryEntryData(role="user", content="My name is Alice"),
        MemoryEntryData(role="assistant", content="Hello Alice!"),
    ]
    payload = greeting(
        user_message="What is my name?", system_context="You are helpful.", memory=memory
    )
    async with scripted_models(script) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        response = await agent.invoke(payload)
        await agent.unload_model()

    assert response.response == "Alice."
    (prompt,) = prompts
    assert prompt == (
        "System: You are helpful.\n\nUser: My name is Alice\n\nAssistant: Hello Alice!\n\n"
        "User: What is my name?\n\nAssistant:"
    )


async def test_memory_history_is_answered_by_a_real_model(tiny_chat: Path) -> None:
    memory = [
        MemoryEntryData(role="user", content="My name is Alice"),
        MemoryEntryData(role="assistant", content="Hello Alice!"),
    ]
    agent = HuggingFaceLocalAgent(str(tiny_chat), max_new_tokens=4)
    payloads = [
        greeting(user_message="What is my name?", system_context="You are helpful.", memory=known)
        for known in ([], memory)
    ]
    try:
        read = [
            (await agent.invoke(payload)).metadata["usage"]["prompt_tokens"] for payload in payloads
        ]
    finally:
        await agent.unload_model()

    assert read[1] > read[0] + 10


def test_a_device_is_for_the_factory_to_say_and_a_model_for_the_first_question() -> None:
    agent = asyncio.run(
        get_agent(
            backend="huggingface",
            model="TinyLlama/TinyLlama-1.1B-Chat-v1.0",
            api_key="",
            device="cuda",
        )
    )

    assert agent.settings.engine_config.device == "cuda"
    assert not agent.is_loaded


@pytest.mark.parametrize(
    "output",
    [
        '{"tool_calls": [{"name": "search", "arguments": {"query": "example"}}]}',
        "TOOL_CALL: search(query=example)",
    ],
)
async def test_tools_are_called_and_the_calls_are_in_the_response(output: str) -> None:
    def search(query: str) -> str:
        """Search for information."""
        return f"Results for: {query}"

    async with scripted_models([output, "I found it."]) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        response = await agent.invoke_with_tools(greeting(), tools=[search])
        await agent.unload_model()

    calls = [(call["name"], call["arguments"]) for call in response.tool_calls]
    assert calls == [("search", {"query": "example"})]
    assert response.response == "I found it."
    assert response.metadata["tool_results"][0]["result"] == "Results for: example"
    assert response.metadata["rounds"] == 2


async def test_calls_can_be_left_to_the_caller() -> None:
    def search(query: str) -> str:
        raise AssertionError("it is the caller's to run")

    async with scripted_models(["TOOL_CALL: search(query=example, limit=10)"]) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        response = await agent.invoke_with_tools(greeting(), [search], execute=False)
        await agent.unload_model()

    assert [call["name"] for call in response.tool_calls] == ["search"]
    assert response.tool_calls[0]["arguments"]["query"] == "example"


@pytest.mark.parametrize("tag", ["think", "thinking", "reasoning", "chain_of_thought"])
async def test_reasoning_is_extracted(tag: str) -> None:
    async with scripted_models([f"<{tag}>hm</{tag}>Yes."]) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        response = await agent.invoke(greeting())
        await agent.unload_model()

    assert (response.thinking, response.response) == ("hm", "Yes.")


@pytest.mark.parametrize("name", ["load_in_8bit", "load_in_4bit"])
def test_quantization_is_asked_of_the_engine(name: str) -> None:
    agent = HuggingFaceLocalAgent(model="meta-llama/Llama-2-7b-chat-hf", **{name: True})

    assert agent.settings.engine_config.options == {name: True}


def test_both_quantizations_at_once_are_refused() -> None:
    with pytest.raises(LLMInitializationError, match="exclude each other"):
        HuggingFaceLocalAgent("a/b", load_in_8bit=True, load_in_4bit=True)
