"""The ways in which users call a model, beside the engine beneath."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from agents.llm import ChatAgent, ChatAgentProps, ChatRequest
from agents.llm.endpoint import create_app, serving
from agents.llm.engines import EngineConfig, GenerationRequest, ModelRegistry
from benchmarks.llm.report import Report
from benchmarks.llm.subject import Subject
from benchmarks.llm.work import Dice
from benchmarks.server import private_server
from guild import AgentBuilder, Guild, GuildBuilder
from messaging.wire.topic import DEFAULT_TOPIC

_PATIENCE_S = 300.0
Ask = Callable[[str], Awaitable[int]]  # a question; how many tokens the answer had


class Cost(NamedTuple):
    """Of a token: seconds, and seconds of processor time of this process."""

    seconds: float
    cpu_s: float


async def measure_faces(subject: Subject, dice: Dice, folder: Path) -> None:
    """The same conversations by the engine, through an agent on the bus, and over HTTP."""
    size, report = subject.size, subject.report
    questions = [
        subject.tokenizer.decode(dice.prompt(size.prompt_tokens)) for _ in range(size.answers)
    ]
    config = EngineConfig(
        model=str(subject.folder),
        device=subject.device,
        dtype=size.dtype,
        max_active=size.answers,
        options={"prompt_cache_bytes": 0},
    )
    beneath = await _by_engine(subject, config, questions)
    by_bus = await _by_bus(subject, config, questions, folder)
    by_http = await _by_http(subject, config, questions)
    label = f"{size.answers} conversations"
    _add(report, f"{label} on the bus (`llm.chat`) ÷ by the engine", by_bus, beneath)
    _add(report, f"{label} over HTTP (streamed) ÷ by the engine", by_http, beneath)


def _add(report: Report, name: str, face: Cost, beneath: Cost) -> None:
    note = f"seconds a token; {face.cpu_s / beneath.cpu_s:.2f} x by processor time"
    report.add(name, face.seconds / beneath.seconds, note=note)


async def _per_token(ask: Ask, questions: list[str], repeats: int) -> Cost:
    """All questions at once; the best of some tries."""
    await ask(questions[0])
    tries = []
    for _ in range(min(2, repeats)):
        begun, cpu = time.perf_counter(), time.process_time()
        tokens = sum(await asyncio.gather(*(ask(question) for question in questions)))
        took = time.perf_counter() - begun, time.process_time() - cpu
        tries.append(Cost(took[0] / tokens, took[1] / tokens))
    return Cost(*map(min, zip(*tries, strict=True)))


async def _by_engine(subject: Subject, config: EngineConfig, questions: list[str]) -> Cost:
    size = subject.size
    async with ModelRegistry() as registry, registry.lease(config) as engine:

        async def ask(question: str) -> int:
            text = subject.tokenizer.apply_chat_template(
                [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
            )
            generation = await engine.submit(
                GenerationRequest(prompt=text, max_new_tokens=size.new_tokens, do_sample=False)
            )
            async for _ in generation:
                pass
            return len((await generation.result()).token_ids)

        return await _per_token(ask, questions, size.repeats)


async def _by_bus(
    subject: Subject, config: EngineConfig, questions: list[str], folder: Path
) -> Cost:
    size = subject.size
    with private_server(folder) as url:
        async with _guild(config, url, size.answers) as guild:

            async def ask(question: str) -> int:
                request = ChatRequest(
                    messages=({"role": "user", "content": question},),
                    max_new_tokens=size.new_tokens,
                    do_sample=False,
                )
                reply: Any = await guild.client.request(
                    DEFAULT_TOPIC, request, timeout_s=_PATIENCE_S
                )
                return int(reply.usage.completion_tokens)

            return await _per_token(ask, questions, size.repeats)


def _guild(config: EngineConfig, url: str, at_once: int) -> Guild:
    props = ChatAgentProps(
        model=config.model,
        device=config.device,
        torch_dtype=config.dtype,
        options=config.options,
    )
    agent = (
        AgentBuilder(ChatAgent)
        .set_id("chat")
        .set_name("Chat")
        .set_description("Answers conversations")
        .set_properties(props)
        .set_concurrency(at_once)
        .build_spec()
    )
    return GuildBuilder("bench").set_messaging(url).add_agent_spec(agent).launch()


async def _by_http(subject: Subject, config: EngineConfig, questions: list[str]) -> Cost:
    size = subject.size
    async with ModelRegistry() as registry:
        app = create_app({"model": config}, registry)
        async with serving(app) as url, httpx.AsyncClient(timeout=_PATIENCE_S) as client:

            async def ask(question: str) -> int:
                body = {
                    "model": "model",
                    "messages": [{"role": "user", "content": question}],
                    "max_tokens": size.new_tokens,
                    "temperature": 0,
                    "stream": True,
                    "stream_options": {"include_usage": True},
                }
                return await _streamed(client, f"{url}/chat/completions", body)

            return await _per_token(ask, questions, size.repeats)


async def _streamed(client: httpx.AsyncClient, url: str, body: dict[str, Any]) -> int:
    tokens = 0
    async with client.stream("POST", url, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if '"usage":{' in line.replace(" ", ""):
                event = httpx.Response(200, content=line.removeprefix("data: ")).json()
                tokens = event["usage"]["completion_tokens"]
    return tokens
