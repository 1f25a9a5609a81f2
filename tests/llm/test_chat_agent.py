import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agents.llm import (
    AgentPayload,
    AgentResponse,
    ChatAgent,
    ChatAgentProps,
    ChatReply,
    ChatRequest,
    CompletionReply,
    CompletionRequest,
    GenerationPromptRequest,
    LLMPhiAgent,
    PhiAgentProps,
)
from agents.llm.bus.resources import models
from agents.llm.endpoint import create_app, serving
from agents.llm.engines import EngineConfig, ModelRegistry
from guild import AgentBuilder, Guild, GuildBuilder
from guild.progress import TextDelta
from messaging.errors import RequestCancelledError, RequestFailedError
from messaging.wire.envelope import new_id
from messaging.wire.message import wire_type_of
from messaging.wire.topic import DEFAULT_TOPIC

MESSAGES = ({"role": "user", "content": "How warm is it in Paris?"},)
WARMTH = {
    "type": "function",
    "function": {
        "name": "warmth",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 8}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


def guild_of(props: ChatAgentProps) -> Guild:
    agent = (
        AgentBuilder(ChatAgent)
        .set_id("chat")
        .set_name("Chat")
        .set_description("Answers conversations")
        .set_properties(props)
        .set_retry(attempts=1)
        .build_spec()
    )
    return GuildBuilder("talkers").set_messaging("memory://").add_agent_spec(agent).launch()


def scripted(*replies: str, **more: Any) -> Guild:
    return guild_of(
        ChatAgentProps(
            model="script", backend="scripted", options={"replies": list(replies)}, **more
        )
    )


@pytest.fixture
async def guild(tiny_chat: Path) -> AsyncIterator[Guild]:
    async with guild_of(ChatAgentProps(model=str(tiny_chat), max_new_tokens=60)) as running:
        yield running


async def ask(guild: Guild, request: Any) -> Any:
    return await guild.client.request(DEFAULT_TOPIC, request, timeout_s=60)


def test_the_messages_have_stable_names() -> None:
    names = [
        wire_type_of(kind).name
        for kind in (ChatRequest, ChatReply, CompletionRequest, CompletionReply)
    ]

    assert names == ["llm.chat", "llm.chat_reply", "llm.complete", "llm.completion"]


async def test_a_conversation_is_answered_with_what_it_cost(guild: Guild) -> None:
    request = ChatRequest(messages=MESSAGES, max_new_tokens=7, seed=0)

    items = [item async for item in guild.client.stream(DEFAULT_TOPIC, request, timeout_s=60)]

    *pieces, reply = items
    assert isinstance(reply, ChatReply)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == reply.content
    assert len(pieces) > 1
    assert reply.finish_reason == "length"
    assert reply.usage.completion_tokens == 7
    assert reply.usage.prompt_tokens > 5
    assert reply.usage.first_token_s is not None
    assert 0 <= reply.usage.queued_s <= reply.usage.first_token_s <= reply.usage.total_s


async def test_a_seed_of_zero_is_a_seed(guild: Guild) -> None:
    request = ChatRequest(messages=MESSAGES, max_new_tokens=12, seed=0, temperature=1.5)
    other = request.model_copy(update={"seed": 1})

    first, second, third = [await ask(guild, r) for r in (request, request, other)]

    assert first.content == second.content != third.content


async def test_structured_answers_are_valid_from_any_model(guild: Guild) -> None:
    reply = await ask(guild, ChatRequest(messages=MESSAGES, response_format=PERSON))

    assert set(reply.value) == {"name", "age"}
    assert reply.value["age"] >= 0
    assert reply.finish_reason == "stop"

    completion = await ask(guild, CompletionRequest(prompt="A person:", response_format=PERSON))
    assert isinstance(completion, CompletionReply)
    assert set(completion.value) == {"name", "age"}


async def test_a_model_on_a_server_is_given_messages_tools_and_formats(tiny_chat: Path) -> None:
    local = EngineConfig(model=str(tiny_chat), device="cpu")
    regex = {"type": "regex", "regex": "a+"}
    async with (
        ModelRegistry() as registry,
        serving(create_app({"tiny": local}, registry)) as url,
        guild_of(
            ChatAgentProps(
                model="tiny", backend="openai", options={"base_url": url}, max_new_tokens=60
            )
        ) as guild,
    ):
        person = await ask(guild, ChatRequest(messages=MESSAGES, response_format=PERSON))
        called = await ask(
            guild, ChatRequest(messages=MESSAGES, tools=(WARMTH,), tool_choice="required")
        )
        completed = await ask(guild, CompletionRequest(prompt="The", max_new_tokens=4))
        matching = await ask(guild, ChatRequest(messages=MESSAGES, response_format=regex))
        continued = await ask(guild, CompletionRequest(prompt="The", response_format=regex))

    assert set(person.value) == {"name", "age"}
    assert [call.name for call in called.tool_calls] == ["warmth"]
    assert set(called.tool_calls[0].arguments) == {"city"}
    assert completed.usage.completion_tokens == 4
    assert set(matching.value) == set(continued.value) == {"a"}


async def test_a_required_call_is_a_valid_call(guild: Guild) -> None:
    request = ChatRequest(messages=MESSAGES, tools=(WARMTH,), tool_choice="required")

    reply = await ask(guild, request)

    (call,) = reply.tool_calls
    assert call.name == "warmth"
    assert set(call.arguments) == {"city"}
    assert call.id


async def test_calls_are_found_in_what_a_model_writes() -> None:
    output = "<think>hm</think>I look.\nTOOL_CALL: warmth(city=Paris)"
    async with scripted(output, "It is 31 degrees.") as running:
        reply = await ask(running, ChatRequest(messages=MESSAGES, tools=(WARMTH,)))
        result = {"role": "tool", "content": "31", "tool_call_id": reply.tool_calls[0].id}
        said = {
            "role": "assistant",
            "content": reply.content,
            "tool_calls": [call.model_dump() for call in reply.tool_calls],
        }
        last = await ask(running, ChatRequest(messages=(*MESSAGES, said, result), tools=(WARMTH,)))

    assert (reply.thinking, reply.tool_calls[0].arguments) == ("hm", {"city": "Paris"})
    assert last.content == "It is 31 degrees."
    assert last.tool_calls == ()


async def test_a_call_that_no_message_carries_is_a_problem_and_spoils_no_reply() -> None:
    def call(n: object) -> str:
        return f'{{"name": "count", "arguments": {{"n": {n}}}}}'

    output = f'{{"tool_calls": [{call(2**70)}, {call(3)}]}}'
    count = {"type": "function", "function": {"name": "count"}}
    async with scripted(output) as running:
        reply = await ask(running, ChatRequest(messages=MESSAGES, tools=(count,)))

    assert [call.arguments for call in reply.tool_calls] == [{"n": 3}]
    assert len(reply.problems) == 1
    assert "'count' cannot be sent" in reply.problems[0]
    assert "64 bits" in reply.problems[0]


@pytest.mark.parametrize("limits", [{"minimum": 2**63 - 1}, {"minimum": 1e30, "maximum": 2e30}])
async def test_a_value_that_no_message_carries_is_a_problem_and_spoils_no_reply(
    guild: Guild, limits: dict[str, Any]
) -> None:
    """The whole answer was lost for an integer past 64 bits."""
    schema = {"type": "array", "items": {"type": "integer", **limits}, "minItems": 2, "maxItems": 2}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}

    asked: Any = {"response_format": form, "max_new_tokens": 160, "seed": 1}

    chat = await ask(guild, ChatRequest(messages=MESSAGES, **asked))
    completion = await ask(guild, CompletionRequest(prompt="So:", **asked))

    for text, reply in ((chat.content, chat), (completion.text, completion)):
        assert max(json.loads(text)) >= 2**63
        assert reply.value is None
        assert reply.finish_reason == "stop"
        (problem,) = reply.problems
        assert problem.startswith("its value cannot be sent: ")
        assert "64 bits" in problem


async def test_a_completion_goes_on_with_the_prompt(guild: Guild) -> None:
    request = CompletionRequest(prompt="The benefits of", max_new_tokens=5)

    *pieces, reply = [
        item async for item in guild.client.stream(DEFAULT_TOPIC, request, timeout_s=60)
    ]

    assert isinstance(reply, CompletionReply)
    assert "".join(piece.text for piece in pieces if isinstance(piece, TextDelta)) == reply.text
    assert reply.usage.completion_tokens == 5


async def test_tags_and_calls_in_a_completion_stay_as_they_are() -> None:
    async with scripted("<think>a</think>\nTOOL_CALL: b(c=d)") as running:
        reply = await ask(running, CompletionRequest(prompt="x"))

    assert reply.text == "<think>a</think>\nTOOL_CALL: b(c=d)"


async def test_a_payload_is_answered_with_a_response() -> None:
    async with scripted("<think>hm</think>Hello!") as running:
        response = await ask(running, AgentPayload(user_message="Hello, how are you?"))

    assert isinstance(response, AgentResponse)
    assert (response.thinking, response.response) == ("hm", "Hello!")
    assert response.metadata["usage"]["completion_tokens"] > 0


async def test_the_oldest_turns_are_dropped_where_the_spec_says_so() -> None:
    long = [
        {"role": "user", "content": "word " * 40},
        {"role": "assistant", "content": "word " * 40},
    ]
    request = ChatRequest(messages=(*long, *MESSAGES), max_new_tokens=10)
    async with scripted("Warm.", context_window=80, overflow="drop_oldest") as running:
        reply = await ask(running, request)
    async with scripted("Warm.", context_window=80) as running:
        with pytest.raises(RequestFailedError, match="context window of 80") as failure:
            await ask(running, request)

    assert (reply.content, reply.dropped_messages) == ("Warm.", 2)
    assert failure.value.error_type == "ContextOverflowError"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (ChatRequest(messages=MESSAGES, tool_choice="required"), "tools"),
        (ChatRequest(messages=MESSAGES, tools=(WARMTH,), tool_choice="other"), "no tool 'other'"),
        (ChatRequest(messages=MESSAGES, response_format={"type": "xml"}), "xml"),
        (ChatRequest(messages=MESSAGES, response_format={"type": "json_schema"}), "no schema"),
        (
            ChatRequest(messages=MESSAGES, response_format=PERSON, max_new_tokens=3),
            "shortest valid answer takes",
        ),
        (
            ChatRequest(
                messages=MESSAGES,
                response_format=PERSON,
                tools=(WARMTH,),
                tool_choice="required",
            ),
            "not both",
        ),
        (ChatRequest(messages=MESSAGES, response_format=PERSON, tools=(WARMTH,)), "not both"),
        (ChatRequest(messages=MESSAGES, response_format={"type": ["xml"]}), "xml"),
        (
            ChatRequest(messages=MESSAGES, response_format={"type": "choice", "choice": [1]}),
            "1 is no text",
        ),
        (
            ChatRequest(messages=MESSAGES, response_format={"type": "choice", "choice": [{}]}),
            "is no text",
        ),
        (ChatRequest(messages=MESSAGES, response_format=PERSON, stop=("}",)), "stop: "),
        (
            ChatRequest(messages=MESSAGES, tools=(WARMTH,), tool_choice="warmth", stop=("}",)),
            "stop: ",
        ),
        (CompletionRequest(prompt="a", response_format=PERSON, stop=("}",)), "stop: "),
        (ChatRequest(messages=({"role": "system", "content": "x"},)), "no message to answer"),
    ],
)
async def test_what_cannot_be_done_is_refused_at_once(
    guild: Guild, request_: ChatRequest | CompletionRequest, told: str
) -> None:
    with pytest.raises(RequestFailedError, match=told) as failure:
        await ask(guild, request_)

    assert failure.value.error_type.endswith("Error")
    assert failure.value.error_type not in {"TypeError", "AttributeError", "ResultError"}


async def test_stop_strings_of_the_spec_cut_no_answer_that_must_keep_to_a_form(
    tiny_chat: Path,
) -> None:
    model = {"model": str(tiny_chat), "device": "cpu", "max_new_tokens": 60}
    async with guild_of(ChatAgentProps(**model, stop=tuple('{}":'))) as running:
        chat = await ask(running, ChatRequest(messages=MESSAGES, response_format=PERSON))
        request = ChatRequest(messages=MESSAGES, tools=(WARMTH,), tool_choice="required")
        calls = (await ask(running, request)).tool_calls
        text = await ask(running, CompletionRequest(prompt="a", response_format=PERSON))

    assert set(chat.value) == set(text.value) == {"name", "age"}
    assert [call.name for call in calls] == ["warmth"]


async def test_a_constraint_is_refused_where_the_backend_has_no_scores() -> None:
    async with scripted("x") as running:
        with pytest.raises(RequestFailedError, match="'scripted' cannot be constrained"):
            await ask(running, ChatRequest(messages=MESSAGES, response_format=PERSON))


async def test_a_cancelled_request_ends_its_generation(tiny_chat: Path) -> None:
    async with guild_of(ChatAgentProps(model=str(tiny_chat), max_new_tokens=900)) as running:
        request_id = new_id()
        stream = running.client.stream(
            DEFAULT_TOPIC, ChatRequest(messages=MESSAGES), timeout_s=60, message_id=request_id
        )
        await anext(stream)

        await running.client.cancel(request_id, "enough")

        with pytest.raises(RequestCancelledError, match="enough"):
            [item async for item in stream]


async def test_chat_and_phi_share_one_model_through_the_resource(tiny_chat: Path) -> None:
    builder = GuildBuilder("talkers").set_messaging("memory://").add_resource("models", models)
    agents: list[tuple[type, Any]] = [
        (ChatAgent, ChatAgentProps(model=str(tiny_chat), max_new_tokens=2)),
        (LLMPhiAgent, PhiAgentProps(model_id=str(tiny_chat), max_new_tokens=2)),
    ]
    for kind, props in agents:
        builder.add_agent_spec(
            AgentBuilder(kind).set_id(kind.__name__).set_properties(props).build_spec()
        )
    with capture_logs() as logged:
        async with builder.launch() as running:
            await ask(running, ChatRequest(messages=MESSAGES))
            await ask(running, GenerationPromptRequest(generation_prompt="x"))

    assert [line["event"] for line in logged].count("model.loaded") == 1
