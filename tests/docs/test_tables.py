"""What tables say of the code is complete and true."""

import importlib
import re
import tomllib
from importlib.metadata import entry_points
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from agents.approvals.agent import DeskProps
from guild.agent.registry import Registry
from guild.cli.app import app, letters, tokens
from guild.cli.calling import exit_codes
from guild.cli.syntax.plugins import GROUP
from guild.client import GuildClient
from guild.settings import load_settings
from guild.spec.spec import AgentSpec, GuildSpec, RouteSpec, ScheduleSpec
from messaging.backend import PROFILES
from messaging.backends.redis import Options
from messaging.backends.urls import open_backend
from tests.docs.pages import DOCS, README, ROOT, blocks_on, code_in, figures_on, rows, text_of

SPECS = DOCS / "guild-specs.md"
OPERATIONS = DOCS / "operations.md"
COMMANDS = DOCS / "command-line.md"
ERRORS = DOCS / "errors.md"
DELIVERY = DOCS / "delivery.md"
RESEARCH = DOCS / "research.md"


def test_the_agents_that_ship_are_listed_with_what_they_handle_and_answer() -> None:
    registry = Registry()
    table = {code_in(row[0])[0]: row for row in rows(SPECS, "type")}

    assert set(table) == set(registry.agent_types)
    for type_name, (_, handled, answered, needs) in table.items():
        agent_class = registry.agent_class(type_name)
        asked = {m.__name__: contract for m, contract in agent_class.accepted().items()}
        assert set(code_in(handled)) <= set(asked)
        contracts = [asked[name] for name in code_in(handled)]
        at_once = {each.__name__ for contract in contracts for each in contract.returns}
        later = {each.__name__ for contract in contracts for each in contract.answers}
        assert at_once <= set(code_in(answered)) <= at_once | later, type_name
        assert code_in(needs) == [agent_class.extra] * bool(agent_class.extra), type_name


def test_the_class_of_each_configuration_is_there_and_tells_its_keys() -> None:
    pytest.importorskip("torch")
    messages = importlib.import_module("agents.research.messages")

    for key, owner, path in rows(RESEARCH, "key"):
        module, _, name = code_in(path)[0].rpartition(".")
        assert getattr(importlib.import_module(module), name).model_json_schema()["properties"]
        for asked in code_in(owner):
            assert asked == "csv" or code_in(key)[0] in getattr(messages, asked).model_fields


@pytest.mark.parametrize(
    ("heading", "part"),
    [("guild", GuildSpec), ("agent", AgentSpec), ("route", RouteSpec), ("schedule", ScheduleSpec)],
)
def test_every_field_of_a_spec_is_listed_with_its_default(
    heading: str, part: type[BaseModel]
) -> None:
    told = {code_in(field)[0]: default for field, default, _ in rows(SPECS, heading)}
    fields = {field.alias or name: field for name, field in part.model_fields.items()}

    assert set(told) == set(fields)
    for name, field in fields.items():
        default = told[name]
        if field.is_required():
            assert default == "required", name
        else:
            present = _plain(field.get_default(call_default_factory=True))
            assert yaml.safe_load(code_in(default)[0]) == present, name


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        plain = value.model_dump(mode="json")
        return {key: given for key, given in plain.items() if given != {}}
    return list(value) if isinstance(value, tuple) else value


def test_every_property_of_a_desk_is_listed_with_its_default() -> None:
    table = rows(DOCS / "approvals.md", "property of `approvals.desk`")
    told = {code_in(name)[0]: code_in(default)[0] for name, default, _ in table}

    assert told == {name: str(field.default) for name, field in DeskProps.model_fields.items()}


def test_the_functions_that_decide_exist() -> None:
    table = rows(DOCS / "approvals.md", "to decide")
    (names,) = [code_in(how) for where, how in table if where == "in Python"]

    module, *functions = names
    assert len(functions) == 4
    assert all(hasattr(importlib.import_module(module), name) for name in functions)


def test_every_agent_that_can_ask_first_is_listed() -> None:
    registry = Registry()
    told = [name for row in rows(DOCS / "approvals.md", "agent") for name in code_in(row[0])]

    assert set(told) == {
        name
        for name in registry.agent_types
        if "approvals" in registry.agent_class(name).properties_class.model_fields
    }


def test_every_option_of_a_bus_is_listed_with_its_default() -> None:
    told = {
        code_in(name)[0]: code_in(default)[0] for name, default, _ in rows(OPERATIONS, "option")
    }

    assert told == {name: str(default) for name, default in Options._field_defaults.items()}


def test_every_bus_that_is_listed_can_be_named() -> None:
    schemes = [url for row in rows(OPERATIONS, "bus") for url in code_in(row[0])]

    assert len(schemes) > 6
    for url in schemes:
        named = url.replace("host2", "127.0.0.1").replace("host", "localhost")
        open_backend(
            f"{named}localhost" if named.endswith(("redis://", "rediss://")) else named, "g"
        )


def test_the_profiles_are_those_of_the_bus() -> None:
    assert [code_in(row[0])[0] for row in rows(DELIVERY, "profile")] == [
        "standard",
        "durable",
        "ephemeral",
    ]
    assert set(PROFILES) == {"standard", "durable", "ephemeral"}


def test_the_exit_statuses_are_complete() -> None:
    told = {int(number) for row in rows(COMMANDS, "exit status") for number in row[0].split(", ")}

    assert told == {value for value in vars(exit_codes).values() if isinstance(value, int)}


def test_the_commands_are_complete() -> None:
    words = [code_in(word)[0] for row in rows(COMMANDS, "command") for word in row[0].split(", ")]
    told = {part for word in words for part in word.split()}
    commands = {each.name or each.callback.__name__ for each in app.registered_commands}
    groups = {"dead-letters": letters, "tokens": tokens}
    in_groups = {each.name for group in groups.values() for each in group.registered_commands}

    assert told == commands | in_groups | set(groups)


def test_the_commands_of_our_own_plugins_are_complete() -> None:
    told = {name for row in rows(COMMANDS, "plugin") for name in code_in(row[0])}

    assert told == {
        entry.name for entry in entry_points(group=GROUP) if entry.dist.name == "guildbus"
    }


def test_the_settings_do_what_they_are_said_to() -> None:
    for key, variable, option, _ in rows(OPERATIONS, "`guildbus.toml`"):
        (name,) = code_in(variable)[:1]
        value = {"log.level": "debug"}.get(code_in(key)[0], "given")
        settings: Any = load_settings(environ={name: value}).model_dump()
        for part in code_in(key)[0].split("."):
            settings = settings[part]
        assert settings in (value, (value,))
        assert code_in(option)[0].startswith("--")


def test_the_errors_that_are_named_exist() -> None:
    names = [name for row in rows(ERRORS, "error") for name in code_in(row[0])]

    assert len(names) > 20
    for name in names:
        assert any(hasattr(_errors(package), name) for package in ("guild", "messaging"))


def test_the_calls_of_a_client_exist() -> None:
    calls = [
        name.partition("(")[0]
        for row in rows(DOCS / "embedding.md", "call")
        for name in code_in(row[0])
    ]

    assert len(calls) > 10
    assert [name for name in calls if not hasattr(GuildClient, name)] == []


def test_a_message_is_tried_as_often_as_promised() -> None:
    assert AgentSpec(id="a", type="hello.greeter").retry.attempts == 5
    assert all("default 5" in text_of(page) for page in (README, DELIVERY))


def test_the_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    measured = figures_on(DOCS / "benchmarks.md")
    shown = figures_on(README)

    assert len(shown) == 3
    for what, figures in shown.items():
        assert figures.items() <= measured[what].items(), what


def test_the_states_of_a_delivery_are_those_of_the_drawing() -> None:
    page = DOCS / "architecture.md"
    (drawing,) = [b.text for b in blocks_on(page) if b.text.startswith("stateDiagram-v2")]
    drawn = set(re.findall(r"(\w+) -->|--> (\w+)", drawing))

    assert {row[0] for row in rows(page, "state")} == {
        name for pair in drawn for name in pair if name
    }


def test_the_rooms_of_a_guild_are_drawn_as_the_contract_has_them() -> None:
    (drawing,) = [b.text for b in blocks_on(DOCS / "architecture.md") if '"cli, ' in b.text]
    drawn = re.findall(r'\["([\w, ]+)', drawing)
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = [
        contract["layers"]
        for contract in contracts["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == ["guild"]
    ]

    assert [set(rooms.split(", ")) for rooms in drawn] == [
        set(rooms.split(" | ")) for rooms in layers
    ]


def test_the_words_of_the_glossary_stand_in_order() -> None:
    words = [row[0] for row in rows(DOCS / "glossary.md", "word")]

    assert words == sorted(words)


def _errors(package: str) -> Any:
    return importlib.import_module(f"{package}.errors")
