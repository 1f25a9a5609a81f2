"""Two definitions under one name: each builder keeps the one that it was given."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
from pydantic import Field, computed_field

from guild.agent.agent import Agent, handles
from guild.agent.registry import type_name_of
from guild.builder import AgentBuilder, GuildBuilder
from guild.checking.loader import dump_yaml, load_yaml
from guild.checking.plan import Plan
from guild.errors import GuildError, SpecError
from guild.spec.spec import GuildSpec
from guild.testing import launched
from messaging.errors import WireNameConflictError
from messaging.wire.message import Message, MessageRegistry
from tests.guild.samples import Echo, EchoProps, Ping, Pong

CELL = """
from guild.agent.agent import Agent, handles
from messaging.wire.message import Message
from tests.guild.samples import Ping, Pong

class Speaker(Agent):
    @handles
    async def speak(self, ping: Ping) -> Pong:
        return Pong(text={answer!r})
"""


def speaker(answer: str) -> type[Agent[Any]]:
    class Speaker(Agent):
        @handles
        async def speak(self, ping: Ping) -> Pong:
            return Pong(text=answer)

    return Speaker


def spec_of(**agents: type[Agent[Any]]) -> GuildSpec:
    builder = GuildBuilder("g").set_messaging("memory://").add_end(Pong)
    for name, agent_class in agents.items():
        agent = AgentBuilder(agent_class).set_id(name).listen_to_default_topic(False)
        builder.add_agent_spec(agent.add_additional_topic(name).build_spec())
    return builder.build_spec()


async def answers_of(spec: GuildSpec) -> dict[str, str]:
    async with launched(spec) as guild:
        return {
            agent.id: (await guild.client.request(agent.id, Ping(), Pong)).text
            for agent in spec.agents
        }


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module whose cells may run again."""
    module = ModuleType("tests_notebook")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


async def test_two_classes_that_a_function_made_are_both_used() -> None:
    spec = spec_of(one=speaker("one"), two=speaker("two"))

    assert await answers_of(spec) == {"one": "one", "two": "two"}


async def test_a_builder_keeps_the_class_it_was_given_when_a_cell_runs_again(
    notebook: ModuleType,
) -> None:
    exec(CELL.format(answer="before"), notebook.__dict__)
    before = spec_of(a=notebook.Speaker)
    exec(CELL.format(answer="after"), notebook.__dict__)
    after = spec_of(a=notebook.Speaker)

    assert before.agents[0].type == after.agents[0].type
    assert await answers_of(before) == {"a": "before"}
    assert await answers_of(after) == {"a": "after"}


async def test_both_definitions_of_a_cell_may_work_in_one_guild(notebook: ModuleType) -> None:
    exec(CELL.format(answer="before"), notebook.__dict__)
    before = notebook.Speaker
    exec(CELL.format(answer="after"), notebook.__dict__)

    spec = spec_of(a=before, b=notebook.Speaker)

    assert await answers_of(spec) == {"a": "before", "b": "after"}


async def test_a_builder_that_goes_on_from_a_spec_keeps_its_classes() -> None:
    spec = spec_of(one=speaker("one"), two=speaker("two"))

    again = GuildBuilder.from_spec(spec).set_name("again").build_spec()

    assert await answers_of(again) == {"one": "one", "two": "two"}


def test_two_factories_of_one_name_are_both_used() -> None:
    def factory(value: str) -> Any:
        @asynccontextmanager
        async def opened(properties: EchoProps) -> AsyncIterator[str]:
            yield value

        return opened

    one, two = factory("one"), factory("two")
    spec = GuildBuilder("g").add_resource("x", one).add_resource("y", two).build_spec()

    assert Plan.of(spec).factories == {"x": one, "y": two}


def test_a_resource_that_is_named_anew_is_no_longer_what_was_given() -> None:
    @asynccontextmanager
    async def opened(properties: EchoProps) -> AsyncIterator[str]:
        yield ""

    builder = GuildBuilder("g").add_resource("x", opened).add_resource("x", "llm.models")

    assert builder.build_spec().resources["x"].given is None


# -- on paper ------------------------------------------------------------------------------------


def test_a_class_that_a_function_made_cannot_be_written_as_yaml() -> None:
    spec = spec_of(fine=Echo, one=speaker("one"), two=speaker("two"))

    with pytest.raises(SpecError) as refusal:
        dump_yaml(spec)

    assert [problem.path for problem in refusal.value.problems] == [
        ("agents", 1, "type"),
        ("agents", 2, "type"),
    ]
    assert "made in a function" in str(refusal.value)


def test_a_class_that_was_defined_again_since_cannot_be_written_as_yaml(
    notebook: ModuleType,
) -> None:
    exec(CELL.format(answer="before"), notebook.__dict__)
    spec = spec_of(a=notebook.Speaker)
    assert load_yaml(dump_yaml(spec)) == spec

    exec(CELL.format(answer="after"), notebook.__dict__)

    with pytest.raises(SpecError, match="another definition stands there now"):
        dump_yaml(spec)


def test_a_class_of_a_script_cannot_be_written_as_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = speaker("mine")
    mine.__module__, mine.__qualname__ = "__main__", "Speaker"

    with pytest.raises(SpecError, match="part of a script or notebook"):
        dump_yaml(spec_of(a=mine))


def test_specs_of_two_classes_under_one_name_are_not_equal() -> None:
    one, two = speaker("one"), speaker("two")

    assert type_name_of(one) == type_name_of(two)
    assert spec_of(a=one) == spec_of(a=one)
    assert spec_of(a=one) != spec_of(a=two)


# -- messages ------------------------------------------------------------------------------------


def test_a_message_class_of_a_cell_that_ran_again_replaces_the_former_one(
    notebook: ModuleType,
) -> None:
    cell = "from messaging.wire.message import Message\nclass Said(Message):\n    {field}: str\n"
    exec(cell.format(field="text"), notebook.__dict__)
    registry = MessageRegistry(notebook.Said)
    exec(cell.format(field="words"), notebook.__dict__)

    registry.add(notebook.Said)

    assert list(registry) == [notebook.Said]


def test_two_message_classes_of_one_name_that_a_function_made_conflict() -> None:
    def made(field: str) -> type[Message]:
        return type(Message)("Made", (Message,), {"__annotations__": {field: str}})

    def local(field: str) -> type[Message]:
        made_class = made(field)
        made_class.__qualname__ = "test.<locals>.Made"
        return made_class

    registry = MessageRegistry(local("text"))

    registry.add(local("text"))  # alike, so that either reads what the other wrote
    with pytest.raises(WireNameConflictError, match=r"Made.*wire_name="):
        registry.add(local("words"))


# -- schedules -----------------------------------------------------------------------------------


def test_the_message_of_a_schedule_is_made_again_as_it_was() -> None:
    class Report(Message):
        days: int = Field(alias="Days")

        @computed_field  # type: ignore[prop-decorator]
        @property
        def hours(self) -> int:
            return 24 * self.days

    report = Report(Days=3)
    spec = GuildBuilder("g").add_schedule("daily", report, every_s=60).build_spec()

    assert Report.model_validate(spec.schedules[0].data) == report


def test_a_message_that_json_changes_is_no_message_of_a_schedule() -> None:
    class Report(Message):
        about: object

    with pytest.raises(GuildError, match="Report would be another"):
        GuildBuilder("g").add_schedule("daily", Report(about=(1, 2)), every_s=60)
