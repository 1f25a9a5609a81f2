"""Code of the pages that no console runs does what the page around it says."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from agents.hello import Greeter
from agents.llm.models import fetch_model
from guild import AgentBuilder, Guild, GuildBuilder
from guild.gateway import gateway_app
from guild.gateway.tokens import add_token
from messaging import MessageRegistry
from messaging.process.error_text import is_retryable
from tests.docs.blocks import Block, Reader, Step
from tests.docs.pages import ORDERS, ROOT, files
from tests.llm.tiny_phi import save_tiny_phi

# A sign of life, not a measure: these start many processes, and some of them load a model.
pytestmark = pytest.mark.timeout(300)

PYTEST = "-q -p no:cacheprovider -o asyncio_mode=auto --import-mode=importlib"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Reader(tmp_path, ROOT) as reading:
        yield reading


@pytest.mark.long
def test_the_sample_of_the_phi_agent_runs_on_a_small_phi(reader: Reader, tmp_path: Path) -> None:
    sample = files()["writers.py"].text
    model = save_tiny_phi(tmp_path / "tiny-phi")
    assert sample.count('model_id="microsoft/phi-2"') == sample.count('"cuda:0"') == 1
    text = sample.replace("microsoft/phi-2", str(model), 1).replace("cuda:0", "cpu")
    reader.save(Block("python", "writers.py", text))

    printed = reader.type_all([Step("python writers.py", ["..."])])

    prompt = "The benefits of multi-agent systems include"
    (completion,) = [line for line in printed.splitlines() if line.startswith(prompt)]
    assert len(completion) > len(prompt)


@pytest.mark.parametrize(
    ("sample", "printed"),
    [
        ("talk.py", "name='Ada' age=36 city='London'"),
        pytest.param(
            "libraries.py",
            "\n".join(["The capital of Japan is Tokyo."] * 3),
            marks=pytest.mark.long,
        ),
    ],
)
def test_the_small_model_answers_in_a_guild_and_by_every_library(
    sample: str, printed: str, reader: Reader
) -> None:
    fetch_model("smollm2")
    reader.save(files()[sample])

    reader.type_all([Step(f"python {sample}", [printed])])


def test_the_research_without_a_guild_measures_its_model(reader: Reader) -> None:
    reader.save(files()["research.py"])

    shown = ["SmallCNN on float32 (1, 1, 8, 8)", "..."]
    printed = reader.type_all([Step("python research.py", shown)])

    assert "parameters  10,410 (10,410 trainable)" in printed
    assert re.search(r"\{'accuracy': 0\.\d+, 'f1': 0\.\d+, 'loss': \d\.\d+\}", printed)


async def test_the_web_service_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    for name in ("hello_guild.py", "hello_guild.yaml", "service.py"):
        reader.save(files()[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    service = _imported(tmp_path / "service.py")
    transport = httpx.ASGITransport(service.app)

    async with (
        service.app.router.lifespan_context(service.app),
        httpx.AsyncClient(transport=transport, base_url="http://guild") as http,
    ):
        answer = await http.get("/greet", params={"name": "Ada"})
    async with httpx.AsyncClient(transport=transport, base_url="http://guild") as http:
        late = await http.get("/greet", params={"name": "Ada"})

    assert (answer.status_code, answer.json()) == (200, {"text": "Hello, Ada!"})
    assert (late.status_code, late.json()["error"]) == (503, "BusClosedError")
    monkeypatch.delitem(sys.modules, "hello_guild")


async def test_the_service_shows_its_guild_and_its_console_to_who_has_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    for name in ("hello_guild.py", "hello_guild.yaml", "mounted.py"):
        reader.save(files()[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    token = add_token(tmp_path / "tokens.txt", "ada", ["publish"])
    service = _imported(tmp_path / "mounted.py")
    transport = httpx.ASGITransport(service.app)
    asked = {"type": "Greet", "data": {"name": "Ada"}}

    async with (
        service.app.router.lifespan_context(service.app),
        httpx.AsyncClient(transport=transport, base_url="http://shop.example") as http,
    ):
        home = await http.get("/")
        page = await http.get("/guild/")
        stranger = await http.post("/guild/api/v1/topics/greetings/requests", json=asked)
        http.headers["Authorization"] = f"Bearer {token}"
        answer = await http.post("/guild/api/v1/topics/greetings/requests", json=asked)

    assert home.text == "a service of yours"
    assert "Guildbus" in page.text
    assert stranger.json()["error"] == "TokenMissingError"
    assert answer.json()["data"] == {"text": "Hello, Ada!"}
    monkeypatch.delitem(sys.modules, "hello_guild")


async def test_the_app_of_another_distribution_lies_beside_the_api(reader: Reader) -> None:
    news = _imported(reader.save(files()["town_news.py"]))
    greeter = AgentBuilder(Greeter).set_id("greeter").build_spec()
    spec = GuildBuilder("town").add_agent_spec(greeter).build_spec()

    async with Guild.launch(spec, bus="memory://") as guild, news.news(guild.plan) as mounts:
        transport = httpx.ASGITransport(gateway_app(guild.client, mounts=mounts))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            answer = await http.get("/news/today")

    assert answer.json() == {"read_by": "local", "agents": ["greeter"]}


def test_an_agent_says_what_could_be_dangerous_together(reader: Reader) -> None:
    mailer = _imported(reader.save(files()["mailer.py"])).Mailer

    told = mailer.traits(None)

    assert told.private
    assert told.way_out
    assert not told.are_dangerous


def test_a_message_of_the_earlier_version_is_brought_up(reader: Reader) -> None:
    versions = _imported(reader.save(files()["versions.py"]))
    known = MessageRegistry(versions.OrderPlaced)

    read = known.decode("shop.order_placed", 1, b'{"article": "lamp"}')

    assert read == versions.OrderPlaced(article="lamp", quantity=1)


def test_the_error_that_says_so_is_not_tried_again(reader: Reader) -> None:
    refusal = _imported(reader.save(files()["refusal.py"]))

    assert not is_retryable(refusal.InvalidCardError())


@pytest.mark.parametrize(
    ("test", "beside", "path"),
    [("test_cafe.py", ("cafe.py",), ()), ("test_shipping.py", (), (ORDERS.parent,))],
)
def test_the_tests_that_the_pages_show_pass(
    test: str, beside: tuple[str, ...], path: tuple[Path, ...], tmp_path: Path
) -> None:
    with Reader(tmp_path, tmp_path, *path, ROOT) as reader:
        for name in (test, *beside):
            reader.save(files()[name])

        reader.type_all(
            [Step(f"python -m pytest {PYTEST} --rootdir={tmp_path} {test}", ["...1 passed..."])]
        )


def _imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
