"""Finding agents and resources by name, and what they need to be installed."""

import pytest

from agents.hello import Greeter
from guild.agent.agent import Agent
from guild.agent.registry import (
    RESOURCES,
    Registry,
    check_installed,
    needs_of,
    requires,
    type_name_of,
)
from guild.errors import MissingExtraError, UnknownAgentTypeError
from tests.guild.samples import Echo


def test_registered_names_stand_for_their_classes() -> None:
    assert Registry().agent_class("hello.greeter") is Greeter
    assert type_name_of(Greeter) == "hello.greeter"


def test_a_class_of_this_process_goes_by_its_path() -> None:
    assert type_name_of(Echo) == "tests.guild.samples:Echo"
    assert Registry().agent_class("tests.guild.samples:Echo") is Echo


def test_an_unknown_name_is_told_with_a_better_one() -> None:
    with pytest.raises(UnknownAgentTypeError, match=r"did you mean 'hello.greeter'\?") as caught:
        Registry().agent_class("hello.greter")
    assert caught.value.suggestion == "hello.greeter"


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        # an agent comes before `Sendy`, which is no agent
        ("tests.guild.nearly:Sendx", "tests.guild.nearly:Sender"),
        ("tests.guild.nearly.Sendx", "tests.guild.nearly.Sender"),
        ("tests.guild.nearly:Plai", "tests.guild.nearly:Plain"),
        ("tests.guild.nearly:Sender.Iner", "tests.guild.nearly:Sender.Inner"),
        ("tests.guild.nearly:Sendx.Inner", "Sender"),
        ("tests.guild.nearly:NUMBER.Inner", ""),
        ("tests.guild.nearly:Unlike", ""),
        ("tests.guild.nearly:Broken", ""),
    ],
)
def test_a_path_with_a_slip_behind_its_module_is_told_with_a_better_one(
    path: str, meant: str
) -> None:
    with pytest.raises(UnknownAgentTypeError, match="cannot be loaded: AttributeError") as caught:
        Registry(["tests"]).agent_class(path)

    assert caught.value.suggestion == meant


def test_of_a_resource_any_name_may_be_the_better_one() -> None:
    with pytest.raises(UnknownAgentTypeError, match="cannot be loaded: AttributeError") as caught:
        Registry(["tests"]).resource_factory("tests.guild.nearly:Sendx")

    assert caught.value.suggestion == "tests.guild.nearly:Sendy"


@pytest.mark.parametrize("allow", ["agents", "agents.hello"])
@pytest.mark.parametrize("path", ["agents.hello:Greeter", "agents.hello.Greeter"])
def test_allowed_packages_may_be_named_by_path(allow: str, path: str) -> None:
    assert Registry([allow]).agent_class(path) is Greeter


def test_every_registered_type_can_be_loaded_and_imports_nothing_heavy() -> None:
    registry = Registry()

    for name in registry.agent_types:
        assert issubclass(registry.agent_class(name), Agent)
    for name in registry.resource_types:
        assert callable(registry.resource_factory(name))


def test_what_is_not_installed_is_named_with_the_command() -> None:
    class Needy(Agent):
        extra = "torch"
        requires = ("json", "no_such_module", "no.such.module")

    with pytest.raises(MissingExtraError) as caught:
        check_installed(Needy, "agent 'phi'", "spec.yaml:3:5")

    assert str(caught.value) == (
        "spec.yaml:3:5: agent 'phi' needs no_such_module, no.such.module; "
        "run: pip install 'guildbus[torch]'"
    )


def test_a_resource_factory_says_what_it_needs() -> None:
    @requires("no_such_module", extra="research")
    def store() -> None: ...

    assert needs_of(store) == ("research", ("no_such_module",))
    assert type_name_of(store, RESOURCES).endswith("store")
    with pytest.raises(MissingExtraError, match=r"pip install 'guildbus\[research\]'"):
        check_installed(store, "resource 'store'")
