"""Everything that the README shows is done as it says, in the order of the page."""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.llm.engines.testing import save_tiny_phi
from agents.llm.models import fetch_model
from guild.cli import exit_codes
from guild.cli.app import app, letters
from guild.registry import Registry
from guild.settings import load_settings
from guild.spec import AgentSpec
from tests.docs.blocks import Block, Reader, Step, blocks_of, steps_of
from tests.servers import embedded_binary

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
BLOCKS = blocks_of(README)
FILES = {block.file: block for block in BLOCKS if block.file}


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    with Reader(tmp_path, ROOT) as reading:
        yield reading


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading whose first cell is this."""
    lines = TEXT[TEXT.index(f"| {heading} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    assert {block.language for block in BLOCKS} == {"sh", "python", "console", "yaml"}
    assert all(block.file for block in BLOCKS if block.language in ("python", "yaml"))
    assert set(FILES) == {
        "hello_guild.py",
        "hello_guild.yaml",
        "talk.py",
        "writers.py",
        "libraries.py",
        "research.py",
        "service.py",
        "ask.py",
    }


def test_the_first_guild_is_short_and_needs_no_model() -> None:
    code = [line for line in FILES["hello_guild.py"].text.splitlines() if line.strip()]

    assert len(code) <= 25
    assert "torch" not in FILES["hello_guild.py"].text


def test_what_the_consoles_show_is_what_happens(reader: Reader) -> None:
    embedded_binary()
    steps = 0
    for block in BLOCKS:
        if block.file:
            reader.save(block)
        elif block.language == "console":
            for step in steps_of(block):
                reader.type(step)
                steps += 1

    assert steps >= 10


def test_a_console_that_tells_a_lie_is_noticed(reader: Reader) -> None:
    reader.save(FILES["hello_guild.py"])

    with pytest.raises(AssertionError, match="Hello, Eve"):
        reader.type(Step("python hello_guild.py", ["...text='Hello, Eve!'"]))


def test_the_sample_of_the_phi_agent_runs_on_a_small_phi(reader: Reader, tmp_path: Path) -> None:
    sample = FILES["writers.py"].text
    model = save_tiny_phi(tmp_path / "tiny-phi")
    assert sample.count('model_id="microsoft/phi-2"') == sample.count('"cuda:0"') == 1
    text = sample.replace("microsoft/phi-2", str(model), 1).replace("cuda:0", "cpu")
    reader.save(Block("python", "writers.py", text))

    printed = reader.type(Step("python writers.py", ["..."]))

    prompt = "The benefits of multi-agent systems include"
    (completion,) = [line for line in printed.splitlines() if line.startswith(prompt)]
    assert len(completion) > len(prompt)


def test_the_small_model_answers_in_a_guild_and_by_every_library(reader: Reader) -> None:
    fetch_model("smollm2")
    for name, printed in {
        "talk.py": "name='Ada' age=36 city='London'",
        "libraries.py": "\n".join(["The capital of Japan is Tokyo."] * 3),
    }.items():
        reader.save(FILES[name])
        reader.type(Step(f"python {name}", [printed]))


def test_the_research_without_a_guild_measures_its_model(reader: Reader) -> None:
    reader.save(FILES["research.py"])

    printed = reader.type(Step("python research.py", ["SmallCNN on float32 (1, 1, 8, 8)", "..."]))

    assert "parameters  10,410 (10,410 trainable)" in printed
    assert re.search(r"\{'accuracy': 0\.\d+, 'f1': 0\.\d+, 'loss': \d\.\d+\}", printed)


async def test_the_web_service_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    for name in ("hello_guild.py", "hello_guild.yaml", "service.py"):
        reader.save(FILES[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    service = _imported(tmp_path / "service.py")
    transport = httpx.ASGITransport(service.app)

    async with (
        service.app.router.lifespan_context(service.app),
        httpx.AsyncClient(transport=transport, base_url="http://guild") as http,
    ):
        answer = await http.get("/greet", params={"name": "Ada"})

    assert (answer.status_code, answer.json()) == (200, {"text": "Hello, Ada!"})
    monkeypatch.delitem(sys.modules, "hello_guild")


def test_the_table_of_agents_is_complete_and_true() -> None:
    registry = Registry()
    table = {code_in(row[0])[0]: row for row in rows("type")}

    assert set(table) == set(registry.agent_types)
    for type_name, (_, handled, answered, needs) in table.items():
        agent_class = registry.agent_class(type_name)
        accepted = agent_class.accepted()
        asked = {m.__name__: contract for m, contract in accepted.items()}
        assert set(code_in(handled)) <= set(asked)
        answers = {r.__name__ for name in code_in(handled) for r in asked[name].returns}
        assert set(code_in(answered)) == answers, type_name
        assert code_in(needs) == [agent_class.extra] * bool(agent_class.extra), type_name


def test_the_table_of_exit_statuses_is_complete() -> None:
    told = {int(number) for row in rows("exit status") for number in row[0].split(", ")}

    assert told == {value for value in vars(exit_codes).values() if isinstance(value, int)}


def test_the_table_of_commands_is_complete() -> None:
    told = {code_in(word)[0].split()[0] for row in rows("command") for word in row[0].split(", ")}
    commands = {each.name or each.callback.__name__ for each in app.registered_commands}

    assert {name for name in commands if name != "list"} <= told
    assert told <= commands | {"dead-letters"} | {each.name for each in letters.registered_commands}


def test_the_table_of_settings_is_true() -> None:
    for key, variable, option, _ in rows("`guildbus.toml`"):
        (name,) = code_in(variable)[:1]
        value = {"log.level": "debug"}.get(code_in(key)[0], "given")
        settings: Any = load_settings(environ={name: value}).model_dump()
        for part in code_in(key)[0].split("."):
            settings = settings[part]
        assert settings in (value, (value,))
        assert code_in(option)[0].startswith("--")


def test_the_errors_that_it_names_exist() -> None:
    for row in rows("error"):
        for name in code_in(row[0]):
            assert any(hasattr(_errors(package), name) for package in ("guild", "messaging"))


def test_links_to_files_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)

    assert links
    assert all((ROOT / link).exists() for link in links)


def test_a_message_is_tried_as_often_as_promised() -> None:
    assert "default 5" in TEXT
    assert AgentSpec(id="a", type="hello.greeter").retry.attempts == 5


def _imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _errors(package: str) -> Any:
    return importlib.import_module(f"{package}.errors")
