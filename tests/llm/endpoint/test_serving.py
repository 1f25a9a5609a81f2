"""The endpoint inside of a host's app, and in front of another server."""

import asyncio
from typing import Any

import httpx
import openai
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from agents.llm.endpoint import create_app, serving
from agents.llm.engines import EngineConfig, ModelRegistry
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import ScriptedModel
from tests.llm.endpoint.conftest import Start
from tests.llm.endpoint.test_chat import HELLO, ask, chunks_of
from tests.llm.engines.gate import Gate, GatedModel

SCRIPT = EngineConfig(
    model="script", backend="scripted", options={"replies": ["one two", "three four"]}
)


def client_of(url: str, **settings: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        **{"base_url": url, "api_key": "unused", "max_retries": 0, **settings}
    )


@pytest.mark.parametrize("prefix", ["", "/llm", "/a/b"])
async def test_it_mounts_into_a_host_under_any_path(prefix: str) -> None:
    async def hello(_: Any) -> PlainTextResponse:
        return PlainTextResponse("the host's own")

    async with ModelRegistry() as registry:
        app = create_app({"script": SCRIPT}, registry)
        host = Starlette(
            routes=[Route("/hello", hello), Mount(prefix, app=app)],
            middleware=[Middleware(GZipMiddleware)],
        )
        async with serving(host) as url:
            root = url.removesuffix("/v1")
            async with client_of(f"{root}{prefix}/v1") as client, httpx.AsyncClient() as plain:
                assert (await ask(client)).choices[0].message.content == "one two"
                chunks = await chunks_of(client)
                assert "".join(c.choices[0].delta.content or "" for c in chunks) == "three four"
                assert (await plain.get(f"{root}/hello")).text == "the host's own"


async def test_a_server_in_front_of_another_one_counts_its_tokens(start: Start) -> None:
    behind = await start(["one two three"] * 2)
    config = EngineConfig(model="script", backend="openai", options={"base_url": behind.url})
    async with (
        ModelRegistry() as registry,
        serving(create_app({"front": config}, registry)) as url,
        client_of(url) as client,
    ):
        answer = await client.completions.create(model="front", prompt="x y")
        chat = await client.chat.completions.create(model="front", messages=HELLO)

    assert answer.choices[0].text == "one two three"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 4)
    assert chat.choices[0].message.content == "one two three"
    assert chat.usage is not None
    assert chat.usage.completion_tokens == 4


async def test_who_goes_away_from_the_front_frees_the_model_behind(start: Start) -> None:
    behind = await start(lambda _: "word " * 500)
    behind.gate.close(after=2)
    config = EngineConfig(model="script", backend="openai", options={"base_url": behind.url})
    async with (
        ModelRegistry() as registry,
        serving(create_app({"front": config}, registry)) as url,
        client_of(url) as client,
    ):
        stream = await client.completions.create(model="front", prompt="x", stream=True)
        await anext(aiter(stream))
        await stream.close()
        while behind.engines[0].stats.active:  # noqa: ASYNC110  in the engine's thread
            await asyncio.sleep(0)

    assert behind.gate.steps == 2


async def test_a_hosts_middleware_does_not_hide_who_goes_away(start: Start) -> None:
    async def passing(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    gate = Gate()
    gate.close(after=2)
    engines: list[LocalEngine] = []

    def create(config: EngineConfig) -> LocalEngine:
        model = ScriptedModel(lambda _: "word " * 500)
        engines.append(LocalEngine(config, lambda: GatedModel(model, gate)))  # type: ignore[arg-type,return-value]
        return engines[-1]

    async with ModelRegistry(create=create) as registry:
        app = Starlette(
            routes=[Mount("/", app=create_app({"script": SCRIPT}, registry))],
            middleware=[Middleware(BaseHTTPMiddleware, dispatch=passing)],
        )
        async with serving(app) as url, client_of(url) as client:
            waiting = asyncio.create_task(ask(client))
            while gate.steps < 2:  # noqa: ASYNC110  in the engine's thread
                await asyncio.sleep(0)
            waiting.cancel()
            while engines[0].stats.active:  # noqa: ASYNC110  likewise
                await asyncio.sleep(0)
    assert gate.steps == 2
