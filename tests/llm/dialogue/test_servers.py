"""Conversations with models on real servers: our own endpoint, and llama.cpp's."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
import xllamacpp

from agents.llm.agent.local_agent import LocalAgent
from agents.llm.agent.settings import AgentSettings
from agents.llm.chat import AgentPayload, ChatMessage
from agents.llm.dialogue import Answer, Dialogue, Sampling, grammar_of_format
from agents.llm.endpoint import create_app, serving
from agents.llm.endpoint.choices import token_bytes
from agents.llm.engines import (
    Engine,
    EngineConfig,
    GenerationRequest,
    ModelRegistry,
    create_engine,
)
from agents.llm.engines.errors import ContextOverflowError, InvalidRequestError
from agents.llm.engines.loaded import loaded_tokenizer
from agents.llm.engines.openai_engine import OpenAIEngine
from agents.llm.structured import FormIgnoredError, grammar_of_schema, grammar_of_type
from tests.llm.chat_models import scripted_models
from tests.llm.engines.tiny_gguf import save_tiny_gguf

QUESTION = [ChatMessage(role="user", content="How warm is it?")]
SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
    "required": ["n"],
    "additionalProperties": False,
}
FUNCTION = {"name": "f", "description": "Takes a number.", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}
KEY = "a-key-of-this-test"


def engine_at(url: str, model: str, **options: Any) -> Engine:
    options = {"base_url": url, "retry_for_s": 5.0, **options}
    return create_engine(EngineConfig(model=model, backend="openai", options=options))


async def ask(engine: Engine, seed: int = 1, **wish: Any) -> Answer:
    sampling = Sampling(max_new_tokens=60, seed=seed, temperature=1.5, top_k=0, top_p=1.0)
    return await Dialogue(engine, sampling, **wish).answer(QUESTION)


@pytest.fixture
async def ours(tiny_chat: Path) -> AsyncIterator[tuple[Engine, Engine]]:
    """A random model with a chat template behind our endpoint, and the same in this process."""
    local = EngineConfig(model=str(tiny_chat), device="cpu")
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(ModelRegistry())
        url = await stack.enter_async_context(serving(create_app({"tiny": local}, registry)))
        engine = engine_at(url, "tiny")
        stack.push_async_callback(engine.close)
        yield engine, await stack.enter_async_context(registry.lease(local))


async def test_a_server_answers_as_the_same_model_does_here(ours: tuple[Engine, Engine]) -> None:
    there, here = ours

    short = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}

    for wish in ({}, {"tools": [TOOL]}, {"tools": [short]}, {"grammar": grammar_of_schema(SCHEMA)}):
        answers = [await ask(engine, **wish) for engine in ours]
        assert answers[0].parsed == answers[1].parsed
        assert answers[0].value == answers[1].value
        assert answers[0].usage.prompt_tokens == answers[1].usage.prompt_tokens
    assert there.capabilities.takes_conversations
    assert not here.capabilities.takes_conversations


async def test_calls_of_our_endpoint_are_calls_here(ours: tuple[Engine, Engine]) -> None:
    for choice in ("required", "f"):
        parsed = (await ask(ours[0], tools=[TOOL], tool_choice=choice)).parsed
        assert [call.name for call in parsed.tool_calls] == ["f"]
        assert parsed.tool_calls[0].arguments["n"] in range(10)
        assert parsed.text == ""


async def test_an_unsaid_limit_is_what_the_window_leaves_here_and_there(
    ours: tuple[Engine, Engine],
) -> None:
    """782 tokens of 1024 are the prompt's: 512 more do not fit, and nobody asked for so many."""
    long = [ChatMessage(role="user", content="hello world " * 85)]
    forbidden = {"temperature": 2.0, "logit_bias": {0: -100.0}, "seed": 1}  # it does not end

    usages = [(await Dialogue(engine, Sampling(**forbidden)).answer(long)).usage for engine in ours]

    assert usages[0].total_tokens == usages[1].total_tokens == 1024
    for engine in ours:
        with pytest.raises(ContextOverflowError, match="782 prompt tokens and 512 new ones"):
            await Dialogue(engine, Sampling(max_new_tokens=512)).answer(long)
        with pytest.raises(ContextOverflowError, match="prompt tokens and 1 new ones"):
            await Dialogue(engine, Sampling()).answer([*long, *long])


FORMS: list[dict[str, Any]] = [
    {"type": "regex", "regex": "[ab]{3}/x?"},
    {"type": "choice", "choice": ["yes", 'n"o']},
    {"type": "lark", "lark": 'start: "a" (B | "c")\nB: /b{1,9}/'},
]


@pytest.mark.parametrize("way", ["vllm", "guided"])
async def test_our_endpoint_keeps_to_regexes_choices_and_grammars(
    ours: tuple[Engine, Engine], way: str
) -> None:
    there, here = ours
    assert isinstance(there, OpenAIEngine)
    asking = OpenAIEngine(
        there.config.model_copy(update={"options": {**there.config.options, "grammars": way}})
    )

    for form in FORMS:
        grammar = grammar_of_format(form)
        answer, same = await ask(asking, grammar=grammar), await ask(here, grammar=grammar)
        assert answer.value == answer.parsed.text == same.value
        text = await Dialogue(asking, Sampling(seed=1), grammar=grammar).ask_to_continue("So: ")
        assert (await text.whole()).value is not None
    await asking.close()


async def test_a_form_that_a_server_ignores_is_an_error() -> None:
    """Servers answer 200 to fields that they do not know: vLLM to `guided_…` since its 0.12."""
    async with AsyncExitStack() as stack:
        server = FastAnswer("Certainly! The answer is yes.")
        url = await stack.enter_async_context(serving(server))
        engine = engine_at(url, "m")
        stack.push_async_callback(engine.close)

        for form in FORMS:
            grammar = grammar_of_format(form)
            with pytest.raises(FormIgnoredError, match="grammars"):
                await ask(engine, grammar=grammar)
            continuing = await Dialogue(engine, Sampling(), grammar=grammar).ask_to_continue("x")
            with pytest.raises(FormIgnoredError, match="grammars"):
                await continuing.whole()


async def test_an_endpoint_before_such_a_server_hands_no_wrong_answer_on() -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(FastAnswer("Certainly!")))
        far = EngineConfig(model="m", backend="openai", options={"base_url": url})
        registry = await stack.enter_async_context(ModelRegistry())
        front = await stack.enter_async_context(serving(create_app({"m": far}, registry)))
        client = await stack.enter_async_context(
            openai.AsyncOpenAI(base_url=front, api_key="unused", max_retries=0)
        )
        chat: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        text: Any = {"model": "m", "prompt": "x"}

        free = await client.completions.create(**text)
        for form in (
            {"response_format": {"type": "json_object"}},
            {"structured_outputs": {"choice": ["yes"]}},
        ):
            with pytest.raises(openai.InternalServerError):
                await client.completions.create(**text, extra_body=form)
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(**chat, extra_body=form)
            with pytest.raises(openai.APIError):
                _ = [
                    c
                    async for c in await client.completions.create(
                        **text, stream=True, extra_body=form
                    )
                ]
        with pytest.raises(openai.InternalServerError):
            await client.completions.create(**text, logprobs=1)

    assert free.choices[0].text == "Certainly!"


class FastAnswer:
    """A server that says the same to everybody, in both shapes, without log-probabilities."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        choice = {"text": self._text, "delta": {"content": self._text}, "finish_reason": "stop"}
        said = (
            f"data: {json.dumps({'choices': [choice]})}\n\n" if scope["method"] == "POST" else "{}"
        )
        kind = b"text/event-stream" if scope["method"] == "POST" else b"application/json"
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said.encode()})


async def test_log_probabilities_of_a_server_are_those_of_the_same_model_here(
    ours: tuple[Engine, Engine],
) -> None:
    there, here = ours
    asked = {"prompt": "hello world", "max_new_tokens": 8, "do_sample": False, "logprobs": 2}

    told = await (await there.submit(GenerationRequest(**asked))).result()
    same = await (await here.submit(GenerationRequest(**asked))).result()

    spelling = loaded_tokenizer(here)
    assert spelling is not None
    assert len(told.logprobs) == len(same.logprobs) == 8
    for entry, own in zip(told.logprobs, same.logprobs, strict=True):
        assert own.token_id is not None
        assert entry.spelt == token_bytes(spelling, own.token_id)
        assert entry.logprob == pytest.approx(own.logprob)
        assert [p for _, p in entry.top] == pytest.approx([p for _, p in own.top])
        assert len(entry.spelt_top) == len(entry.top) == 2
        assert entry.token_id is None


async def test_log_probabilities_pass_through_a_server_of_servers(
    ours: tuple[Engine, Engine],
) -> None:
    """A client of an endpoint whose model is behind another endpoint sees what it tells."""
    there, _ = ours
    assert isinstance(there, OpenAIEngine)
    async with (
        ModelRegistry() as registry,
        serving(create_app({"far": there.config, "tiny": there.config}, registry)) as far,
        openai.AsyncOpenAI(base_url=far, api_key="unused", max_retries=0) as through,
        openai.AsyncOpenAI(
            base_url=there.config.options["base_url"], api_key="unused", max_retries=0
        ) as straight,
    ):
        said: Any = {"model": "tiny", "max_tokens": 6, "temperature": 0}
        chat: Any = {**said, "messages": [{"role": "user", "content": "x"}], "logprobs": True}
        text: Any = {**said, "prompt": "hello", "logprobs": 2}
        chats = [await c.chat.completions.create(**chat) for c in (through, straight)]
        texts = [await c.completions.create(**text) for c in (through, straight)]
        form = {"structured_outputs": {"regex": "a{3}b"}}
        formed = await through.completions.create(**text, extra_body=form)

    assert chats[0].choices[0].logprobs == chats[1].choices[0].logprobs
    assert texts[0].choices[0].logprobs.tokens == texts[1].choices[0].logprobs.tokens
    assert texts[0].choices[0].logprobs.top_logprobs == texts[1].choices[0].logprobs.top_logprobs
    assert formed.choices[0].text == "aaab"


async def test_a_tool_is_run_for_a_model_on_a_server() -> None:
    """Messages, calls and results go to the server, and are rendered there."""
    prompts: list[str] = []

    def script(prompt: str) -> str:
        prompts.append(prompt)
        return "It is 31." if "31" in prompt else 'So.{"tool_calls": [{"name": "warmth"}]}'

    def warmth() -> int:
        return 31

    local = EngineConfig(model="script", backend="scripted")
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(scripted_models(script))
        url = await stack.enter_async_context(serving(create_app({"s": local}, registry)))
        models = await stack.enter_async_context(ModelRegistry())
        settings = AgentSettings.of(model="s", backend="openai", options={"base_url": url})
        agent = LocalAgent(settings, models=models)
        response = await agent.invoke_with_tools(AgentPayload(user_message="x"), [warmth])

    assert response.response == "It is 31."
    assert [call["name"] for call in response.tool_calls] == ["warmth"]
    assert "Result of warmth:\n31" in prompts[1]


@pytest.fixture(scope="module")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """llama.cpp's own server with a random model, on a port of this machine."""
    template = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[answer]"
    path = tmp_path_factory.mktemp("models") / "served.gguf"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    params = xllamacpp.CommonParams()
    params.model.path = str(
        save_tiny_gguf(path, tokenizer__chat_template=template, context_window=2048)
    )
    params.hostnames, params.port, params.api_keys = ["127.0.0.1"], port, [KEY]
    params.ui, params.verbosity, params.warmup, params.fit_params = False, 0, False, False
    params.n_ctx, params.n_parallel, params.n_gpu_layers = 4096, 2, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.use_jinja = True
    server = xllamacpp.Server(params)
    yield f"http://127.0.0.1:{port}/v1"
    del server


@pytest.fixture
async def llama(llama_server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("LLAMA_KEY", KEY)
    engines = []

    def make(**options: Any) -> Engine:
        engines.append(engine_at(llama_server, "any", api_key_env="LLAMA_KEY", **options))
        return engines[-1]

    yield make
    for engine in engines:
        await engine.close()


async def test_llama_cpp_answers_in_company_and_keeps_to_schemas(llama: Any) -> None:
    engine = llama()

    free, *valued = await asyncio.gather(
        ask(engine),
        *(ask(engine, seed, grammar=grammar_of_schema(SCHEMA)) for seed in range(4)),
        ask(engine, grammar=grammar_of_format({"type": "json_object"})),
        ask(engine, grammar=grammar_of_type(dict[str, bool])),
    )

    assert free.parsed.text
    assert free.usage.completion_tokens == 60
    assert all(answer.value["n"] in range(10) for answer in valued[:4])
    assert all(isinstance(answer.value, dict) for answer in valued if answer.value is not None)


@pytest.mark.parametrize("form", FORMS)
async def test_llama_cpp_keeps_to_grammars_where_it_is_told_in_its_way(
    llama: Any, form: dict[str, Any]
) -> None:
    grammar = grammar_of_format(form)

    answers = [await ask(llama(grammars="llguidance"), seed, grammar=grammar) for seed in range(3)]

    for answer in answers:
        assert answer.value is None or answer.value == answer.parsed.text
    assert any(answer.value for answer in answers)
    with pytest.raises(InvalidRequestError, match="grammars"):
        await ask(llama(grammars="none"), grammar=grammar)


@pytest.mark.parametrize("api", ["completions", "chat"])
async def test_log_probabilities_of_llama_cpp_have_ids(llama: Any, api: str) -> None:
    asked = {"prompt": "hello", "max_new_tokens": 6, "temperature": 1.0, "seed": 3}
    engine = llama(api=api)

    three = await (await engine.submit(GenerationRequest(**asked, logprobs=3))).result()
    none = await (await engine.submit(GenerationRequest(**asked, logprobs=0))).result()

    assert 1 <= len(three.logprobs) <= 6
    for entry in three.logprobs:
        assert entry.token_id is not None
        assert entry.logprob <= 0.0
        assert len(entry.top) == len(entry.spelt_top) == 3
        assert entry.top[0][1] >= entry.top[2][1]
    assert none.logprobs
    assert all(entry.top == () for entry in none.logprobs)


async def test_a_call_that_llama_cpp_does_not_enforce_is_an_error(llama: Any) -> None:
    """Its template knows no tools, so it lets the model write what it likes."""
    with pytest.raises(FormIgnoredError, match="calls no tool"):
        await ask(llama(), tools=[TOOL], tool_choice="required")
