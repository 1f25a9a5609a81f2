"""What users of local pipelines behind chains and agents reported; each is right here.

The reports: langchain 3869, 15232, 19770, 22601, 25219, 26971, 30453; smolagents 917.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.llm import (
    AgentPayload,
    ChatAgent,
    ChatAgentProps,
    ChatReply,
    ChatRequest,
    HuggingFaceLocalAgent,
    get_agent,
)
from agents.llm.agent import AgentSettings, LocalAgent
from agents.llm.engines import Generation, GenerationRequest
from agents.llm.engines.loaded import loaded_tokenizer
from agents.llm.engines.local_engine import LocalEngine
from guild import AgentBuilder, GuildBuilder
from guild.progress import TextDelta
from tests.llm.chat_models import scripted_models

Asked = list[str]


def asked_of(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The prompts that any engine is given from now on, as texts."""
    prompts: Asked = []
    submit = LocalEngine.submit

    async def watched(self: LocalEngine, request: GenerationRequest, *rest: Any) -> Generation:
        loaded = loaded_tokenizer(self)
        assert loaded is not None
        prompts.append(request.prompt or loaded.tokenizer.decode(list(request.prompt_ids or ())))
        return await submit(self, request, *rest)

    monkeypatch.setattr(LocalEngine, "submit", watched)
    return prompts


async def with_agent(tiny_chat: Path, use: Callable[[LocalAgent], Any], **options: Any) -> Any:
    agent = await get_agent("huggingface", str(tiny_chat), device="cpu", **options)
    try:
        return await use(agent)
    finally:
        await agent.unload_model()


def payload(**more: Any) -> AgentPayload:
    return AgentPayload(user_message="How warm is it?", **more)


async def test_the_answer_stops_before_a_stop_text_and_does_not_show_it(tiny_chat: Path) -> None:
    async def ask(agent: LocalAgent) -> str:
        return (await agent.invoke(payload())).response

    free = await with_agent(tiny_chat, ask, seed=4, max_new_tokens=40)
    stop = free[12:15]
    stopped = await with_agent(tiny_chat, ask, seed=4, max_new_tokens=40, stop=(stop,))

    assert stopped == free[: free.find(stop)].strip()


async def test_the_prompt_is_the_chat_templates_and_none_of_it_is_in_the_answer(
    tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = asked_of(monkeypatch)

    response = await with_agent(tiny_chat, lambda a: a.invoke(payload()), max_new_tokens=8)

    (prompt,) = prompts
    assert prompt.startswith("<user>How warm is it?")
    assert prompt.endswith("<assistant>")
    assert "How warm" not in response.response


async def test_tools_reach_a_model_whose_template_knows_none(
    tiny_chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = asked_of(monkeypatch)

    def warmth(city: str) -> str:
        """Tell how warm a city is."""
        return city

    await with_agent(
        tiny_chat, lambda a: a.invoke_with_tools(payload(), [warmth]), max_new_tokens=8
    )

    assert "warmth" in prompts[0]
    assert "Tell how warm a city is." in prompts[0]
    assert '"city"' in prompts[0]


async def test_the_limit_of_the_agent_holds_with_tools_and_without(tiny_chat: Path) -> None:
    def warmth(city: str) -> str:
        return city

    async def ask(agent: LocalAgent) -> list[int]:
        plain = await agent.invoke(payload())
        tooled = await agent.invoke_with_tools(payload(), [warmth], execute=False)
        return [r.metadata["usage"]["completion_tokens"] for r in (plain, tooled)]

    assert await with_agent(tiny_chat, ask, max_new_tokens=130) == [130, 130]


async def test_text_is_streamed_while_it_comes_though_tools_are_bound() -> None:
    tool = {"type": "function", "function": {"name": "warmth", "parameters": {"type": "object"}}}
    props = ChatAgentProps(
        model="script", backend="scripted", options={"replies": ["It is quite warm in here."]}
    )
    agent = AgentBuilder(ChatAgent).set_id("chat").set_properties(props).build_spec()
    builder = GuildBuilder("talkers").set_messaging("memory://").add_agent_spec(agent)
    request = ChatRequest(messages=({"role": "user", "content": "Warm?"},), tools=(tool,))
    async with builder.launch() as running:
        stream = running.client.stream("default_topic", request, timeout_s=60)
        *pieces, reply = [item async for item in stream]

    assert isinstance(reply, ChatReply)
    assert "".join(p.text for p in pieces if isinstance(p, TextDelta)) == reply.content
    assert len(pieces) > 3


@pytest.mark.parametrize("last", ["tool", "assistant", "system"])
async def test_a_conversation_need_not_end_with_the_user(tiny_chat: Path, last: str) -> None:
    call = {"id": "call00001", "name": "warmth", "arguments": {"city": "Paris"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "How warm is it in Paris?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "31", "tool_call_id": "call00001", "name": "warmth"},
    ]
    if last != "tool":
        messages.append({"role": last, "content": "In degrees:"})
    props = ChatAgentProps(model=str(tiny_chat), device="cpu", max_new_tokens=3)
    agent = AgentBuilder(ChatAgent).set_id("chat").set_properties(props).set_retry(attempts=1)
    builder = GuildBuilder("talkers").set_messaging("memory://").add_agent_spec(agent.build_spec())
    async with builder.launch() as running:
        request = ChatRequest(messages=tuple(messages))
        reply = await running.client.request("default_topic", request, timeout_s=60)

    assert isinstance(reply, ChatReply)
    assert reply.usage.completion_tokens == 3


async def test_the_next_question_of_a_session_knows_the_results_of_tools() -> None:
    prompts: Asked = []

    def script(prompt: str) -> str:
        prompts.append(prompt)
        return "TOOL_CALL: warmth(city=Paris)" if len(prompts) == 1 else "It is 31."

    def warmth(city: str) -> str:
        return f"31 in {city}"

    async with scripted_models(script) as models:
        agent = LocalAgent(AgentSettings(model="script", backend="scripted"), models=models)
        await agent.invoke_with_tools(payload(session_id="s"), [warmth])
        await agent.invoke(AgentPayload(user_message="And tomorrow?", session_id="s"))
        await agent.unload_model()

    assert prompts[-1].count("How warm is it?") == 1
    assert prompts[-1].count("31 in Paris") == 1
    assert prompts[-1].index("31 in Paris") < prompts[-1].index("And tomorrow?")


async def test_zero_is_the_coldest_temperature_and_no_error(tiny_chat: Path) -> None:
    async def ask(agent: LocalAgent) -> list[str]:
        return [(await agent.invoke(payload())).response for _ in range(2)]

    first, second = await with_agent(tiny_chat, ask, temperature=0.0, max_new_tokens=12)
    greedy = await with_agent(tiny_chat, ask, do_sample=False, max_new_tokens=12)

    assert [first, second] == greedy
    assert HuggingFaceLocalAgent(str(tiny_chat), temperature=0).settings.temperature == 0
