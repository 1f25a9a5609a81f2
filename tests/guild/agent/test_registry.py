"""Finding agents and resources by name, and what they need to be installed."""

from pathlib import Path

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


_MODULES = {
    "ends": ("import sys\nsys.exit(3)\n", "SystemExit: 3 (ends_.py:2); what a script does stands"),
    "lacks": ("\nimport no_such_module\n", "No module named 'no_such_module' (lacks_.py:2)"),
    "raises": ('raise ValueError("one\\ntwo")\n', "ValueError: one two (raises_.py:1)"),
    "deep": (
        "def f():\n    return 1 / 0\nf()\n",
        "ZeroDivisionError: division by zero (deep_.py:2)",
    ),
    "cut": ("def f(:\n", "SyntaxError: invalid syntax (cut_.py, line 1)"),
    "empty": ("", "module 'empty_' has no attribute 'Xyz'"),
    "agents": (
        "from tests.guild.samples import Echo\nfrom agents.hello import Greeter\n",
        "module 'agents_' has no attribute 'Xyz'; there are Echo, Greeter",
    ),
    "no_module": (None, "No module named 'no_module_'; it must lie in the folder where you start"),
}


@pytest.mark.parametrize("name", _MODULES)
def test_what_goes_wrong_in_a_module_is_told_in_one_line_with_its_place(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, told = _MODULES[name]
    if text is not None:
        (tmp_path / f"{name}_.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(UnknownAgentTypeError) as caught:
        Registry([f"{name}_"]).agent_class(f"{name}_:Xyz")

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_another_one_hides_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "queue.py").touch()
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UnknownAgentTypeError, match=r"queue\.py is found before queue\.py here"):
        Registry(["queue"]).agent_class("queue:Greeter")


@pytest.mark.parametrize("allow", [(), ("agents",), ("shop",)])
@pytest.mark.parametrize("path", ["agents/hello.py:Greeter", "./agents/hello:Greeter"])
def test_a_class_that_is_named_by_its_file_is_told_by_its_module(
    path: str, allow: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownAgentTypeError) as caught:
        Registry(allow).agent_class(path)

    assert caught.value.suggestion == "agents.hello:Greeter"


def test_who_forgot_a_package_sees_which_ones_are_allowed() -> None:
    with pytest.raises(
        UnknownAgentTypeError, match=r"--allow shop, .* \(allowed are: town, agents\)"
    ):
        Registry(["town", "agents"]).agent_class("shop.desk:Desk")
    with pytest.raises(UnknownAgentTypeError, match="town is a module: write town:CLASS"):
        Registry(["town"]).agent_class("town")


def test_one_package_may_be_given_as_it_is() -> None:
    assert Registry("agents").agent_class("agents.hello:Greeter") is Greeter
