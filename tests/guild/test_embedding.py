"""A guild inside somebody else's program: a web service, a script, the REPL's thread."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import guild
from agents.hello import Greet, Greeting
from guild.checking.loader import load_file
from guild.errors import GuildNotRunningError
from guild.progress import TextDelta
from guild.runtime import Guild, GuildStatus
from guild.sync import BackgroundLoop, launch_sync
from guild.testing import guild_of
from messaging.client import waiting
from messaging.errors import BackendSetupError, RequestFailedError
from messaging.testing import PATIENCE_S
from tests.guild.samples import Echo, Failing, Ping, Pong
from tests.guild.test_client import Typist


async def test_a_guild_lives_as_long_as_a_web_service() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Guild.launch(load_file("specs/hello.yaml")) as guild:
            app.state.guild = guild
            yield

    async def greet(request: Request) -> JSONResponse:
        client = request.app.state.guild.client
        greeting = await client.request("greetings", Greet(name=request.query_params["name"]))
        return JSONResponse(greeting.model_dump())

    app = Starlette(routes=[Route("/greet", greet)], lifespan=lifespan)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://guild") as http,
    ):
        answers = await asyncio.gather(*(http.get(f"/greet?name=n{n}") for n in range(20)))
        assert app.state.guild.status is GuildStatus.RUNNING

    assert [Greeting(**answer.json()).name for answer in answers] == [f"n{n}" for n in range(20)]
    assert app.state.guild.status is GuildStatus.CLOSED


def test_a_script_needs_no_event_loop() -> None:
    with launch_sync(guild_of(Echo, Typist)) as guild:
        assert guild.status is GuildStatus.RUNNING
        assert guild.publish("default_topic", Ping()).warning == ""
        assert guild.request("inbox.echo", Ping(text="x"), reply_type=Pong) == Pong(text="x")
        items = list(guild.stream("inbox.typist", Ping(text="ab")))
    assert [type(item).__name__ for item in items] == ["TextDelta", "TextDelta", "Pong"]
    with pytest.raises(GuildNotRunningError):
        guild.request("default_topic", Ping())


def test_a_script_that_reads_slowly_loses_the_oldest_items_and_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "MOST_ITEMS", 5)
    ended, end = threading.Event(), waiting.Stream.end

    def tell(self: waiting.Stream) -> None:
        end(self)
        ended.set()

    monkeypatch.setattr(waiting.Stream, "end", tell)
    with launch_sync(guild_of(Typist)) as guild:
        items = guild.stream("inbox.typist", Ping(text="x" * 100))
        first = next(items)
        assert ended.wait(PATIENCE_S)
        rest = list(items)
    assert isinstance(first, TextDelta)
    assert len(rest) in (5, 6)  # the first one may be of the last five, too
    assert isinstance(rest[-1], Pong)


def test_a_script_that_leaves_a_stream_early_stops_following_it() -> None:
    with launch_sync(guild_of(Typist)) as guild:
        items = guild.stream("inbox.typist", Ping(text="ab"))
        next(items)
        followed = guild._client.bus._requests._waiting
        assert followed
        items.close()
        deadline = time.monotonic() + PATIENCE_S
        while followed and time.monotonic() < deadline:
            time.sleep(0.001)
        assert not followed
        left_open = guild.stream("inbox.typist", Ping(text="ab"))
        next(left_open)
    left_open.close()


def test_what_was_interrupted_cleans_up_before_its_loop_is_stopped() -> None:
    loop, began, did = BackgroundLoop("tests"), threading.Event(), list[str]()

    async def work(name: str) -> None:
        began.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            await asyncio.sleep(0.01)
            did.append(name)

    interrupted = loop.start(work("interrupted"))
    assert began.wait(PATIENCE_S)
    interrupted.cancel()
    loop.start(work("forgotten"))
    loop.close()

    assert sorted(did) == ["forgotten", "interrupted"]


def test_errors_reach_the_script() -> None:
    spec = guild_of(Failing)
    quick = spec.agents[0].model_copy(
        update={"retry": spec.agents[0].retry.model_copy(update={"attempts": 1})}
    )
    spec = spec.model_copy(update={"agents": (quick,)})

    with launch_sync(spec) as guild:
        with pytest.raises(RequestFailedError, match="cannot stand x"):
            guild.request("default_topic", Ping(text="x"))
        with pytest.raises(RequestFailedError, match="cannot stand x"):
            list(guild.stream("default_topic", Ping(text="x")))
    with (
        pytest.raises(BackendSetupError),
        launch_sync(guild_of(Echo), bus="carrier-pigeon://x"),
    ):
        pass


def test_importing_the_guild_imports_nothing_heavy() -> None:
    code = (
        "import sys, guild, guild.checking.loader;"
        "guild.checking.loader.load_file('specs/research.yaml', environ={});"
        "heavy = {'torch', 'transformers', 'starlette', 'fastapi', 'uvicorn', 'sklearn',"
        " 'tokenizers', 'matplotlib', 'numpy', 'redis'};"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_the_package_exports_what_it_promises() -> None:
    assert set(guild.__all__) == {
        "Agent",
        "AgentBuilder",
        "AgentSpec",
        "BaseAgentProps",
        "Context",
        "Guild",
        "GuildBuilder",
        "GuildClient",
        "GuildSpec",
        "RouteBuilder",
        "handles",
    }
    assert all(hasattr(guild, name) for name in guild.__all__)
