"""The endpoint inside of a host's app, as a server of its own, and in front of another server."""

import asyncio
import os
import signal
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from agents.llm.endpoint import create_app, new_key, serve, serving
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


async def _served(task: "asyncio.Task[None]", url: "asyncio.Future[str]") -> str:
    await asyncio.wait({task, url}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return await url


@pytest.mark.parametrize("end", ["signal", "cancel"])
async def test_it_serves_until_it_is_told_to_end(end: str) -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve({"script": SCRIPT}, port=0, ready=url.set_result))
    async with client_of(await _served(task, url)) as client:
        assert (await ask(client)).choices[0].message.content == "one two"

    if end == "signal":
        os.kill(os.getpid(), signal.SIGTERM)
        await task
    else:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_models_are_loaded_before_clients_are_told_the_url() -> None:
    told: list[str] = []
    models = {"a": SCRIPT, "also a": SCRIPT, "b": SCRIPT.model_copy(update={"model": "b"})}

    async def until_ready() -> None:
        await serve(models, port=0, loading=told.append, ready=lambda _: told.append("ready"))

    task = asyncio.create_task(until_ready())
    while "ready" not in told and not task.done():  # noqa: ASYNC110  the engine's thread loads
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert told == ["a", "b", "ready"]


async def test_a_signal_while_a_model_is_loaded_ends_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded = threading.Event()
    told: list[str] = []

    def opened() -> Any:
        loaded.wait()
        return ScriptedModel(lambda _: "late")

    def create(config: EngineConfig) -> LocalEngine:
        return LocalEngine(config, opened)

    monkeypatch.setattr("agents.llm.engines.scripted.create", create)
    task = asyncio.create_task(
        serve(
            {"script": SCRIPT},
            port=0,
            loading=told.append,
            ready=told.append,
            stopping=lambda: told.append("stopping"),
        )
    )
    while not told:  # noqa: ASYNC110  until it is being loaded
        await asyncio.sleep(0)

    os.kill(os.getpid(), signal.SIGTERM)
    while "stopping" not in told:  # noqa: ASYNC110  until the loop has seen the signal
        await asyncio.sleep(0)
    loaded.set()
    await task

    assert told == ["script", "stopping"]


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with ModelRegistry() as registry, serving(create_app({}, registry)) as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await serve({}, port=port)


async def test_with_a_certificate_it_is_encrypted(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    key = new_key()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve({"script": SCRIPT}, port=0, keys=[key], certificate=certificate, ready=url.set_result)
    )
    address = await _served(task, url)
    assert address.startswith("https://")
    insecure = httpx.AsyncClient(verify=False)
    async with client_of(address, api_key=key, http_client=insecure) as client:
        assert (await ask(client)).choices[0].message.content == "one two"
    task.cancel()
    await asyncio.wait([task])


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(secret + made.public_bytes(pem))
    return path


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
