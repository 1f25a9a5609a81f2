"""Models behind a gateway: until when they are served, to whom, and how strangers are refused."""

import asyncio
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

from agents.llm.commands.model_server import serve, with_keys
from agents.llm.endpoint import create_app, new_key, serving
from agents.llm.engines import EngineConfig, ModelRegistry
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import ScriptedModel
from guild.gateway.exposure import ExposureError, Listening
from guild.gateway.tokens import TokenFile, add_token
from tests.cli.conftest import ROOT, started, until
from tests.llm.commands.served import SCRIPTED
from tests.llm.endpoint.test_chat import HELLO, ask
from tests.llm.endpoint.test_serving import SCRIPT, client_of
from tests.servers import embedded_binary


async def _served(task: "asyncio.Task[None]", url: "asyncio.Future[str]") -> str:
    await asyncio.wait({task, url}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    return await url


@pytest.mark.parametrize("end", ["event", "cancel"])
async def test_it_serves_until_it_is_told_to_end(end: str) -> None:
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    task = asyncio.create_task(serve({"script": SCRIPT}, Listening(), stop, ready=url.set_result))
    async with client_of(await _served(task, url)) as client:
        assert (await ask(client)).choices[0].message.content == "one two"

    if end == "event":
        stop.set()
        await task
    else:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_models_are_loaded_before_clients_are_told_the_url() -> None:
    told: list[str] = []
    models = {"a": SCRIPT, "also a": SCRIPT, "b": SCRIPT.model_copy(update={"model": "b"})}

    async def until_ready() -> None:
        await serve(
            models,
            Listening(),
            asyncio.Event(),
            loading=told.append,
            ready=lambda _: told.append("ready"),
        )

    task = asyncio.create_task(until_ready())
    while "ready" not in told and not task.done():  # noqa: ASYNC110  the engine's thread loads
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert told == ["a", "b", "ready"]


async def test_to_be_stopped_while_a_model_is_loaded_ends_the_server(
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
    stop = asyncio.Event()
    task = asyncio.create_task(
        serve({"script": SCRIPT}, Listening(), stop, loading=told.append, ready=told.append)
    )
    while not told:  # noqa: ASYNC110  until it is being loaded
        await asyncio.sleep(0)

    stop.set()
    await asyncio.sleep(0)
    loaded.set()
    await task

    assert told == ["script"]


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with ModelRegistry() as registry, serving(create_app({}, registry)) as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        with pytest.raises(ExposureError, match="in use; choose another port"):
            await serve({}, Listening(port=port), asyncio.Event())


async def test_with_a_certificate_it_is_encrypted(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    key = new_key()
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    place = Listening(certificate=certificate)
    serving = serve(
        {"script": SCRIPT},
        place,
        asyncio.Event(),
        callers=with_keys([key], None),
        ready=url.set_result,
    )
    task = asyncio.create_task(serving)
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


async def test_keys_and_tokens_that_may_publish_are_let_in_and_others_are_not(
    tmp_path: Path,
) -> None:
    """Strangers are refused in the shape that clients of OpenAI's API read."""
    file, key = tmp_path / "tokens", new_key()
    writer, reader = add_token(file, "writer", ["publish"]), add_token(file, "reader", ["read"])
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    callers = with_keys([key], TokenFile(file))
    serving = serve(
        {"script": SCRIPT}, Listening(), asyncio.Event(), callers=callers, ready=url.set_result
    )
    task = asyncio.create_task(serving)
    address = await _served(task, url)
    for secret in (key, writer):
        async with client_of(address, api_key=secret) as client:
            assert (await ask(client)).choices[0].message.content
    for secret in (key, reader):
        async with client_of(address, api_key=secret) as client:
            assert [model.id async for model in client.models.list()] == ["script"]
    async with client_of(address, api_key="another") as client:
        with pytest.raises(openai.AuthenticationError, match="this token is not known") as stranger:
            await ask(client)
    async with client_of(address, api_key=reader) as client:
        with pytest.raises(openai.PermissionDeniedError, match="'reader' may not publish"):
            await ask(client)
    async with client_of(address, api_key=key) as client:
        with pytest.raises(openai.NotFoundError, match="there is no model 'other'"):
            await ask(client, model="other")
    task.cancel()
    await asyncio.wait([task])

    assert stranger.value.code == "invalid_api_key"
    assert stranger.value.type == "authentication_error"


def test_the_models_of_a_guild_are_served_beside_its_gateway(tmp_path: Path) -> None:
    embedded_binary()
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"bus: embedded:{tmp_path / 'bus'}\n{SCRIPTED}")
    guild = started("run", spec, "--http", "0", cwd=ROOT)
    with guild:
        url = until(guild.stderr, "console: ")[-1].rpartition("console: ")[2].strip()
        base = f"{url}openai/v1"
        with openai.OpenAI(base_url=base, api_key="unused", max_retries=0) as client:
            told = client.chat.completions.create(model="say", messages=HELLO)
        asked = httpx.get(f"{url}api/v1/guild")
        guild.terminate()
        _, err = guild.communicate()

    assert told.choices[0].message.content == "hello"
    assert asked.json()["id"] == "served"
    assert "Traceback" not in err
