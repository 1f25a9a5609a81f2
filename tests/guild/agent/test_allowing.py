"""What the operator allowed a spec when it was loaded holds when that spec is used."""

from pathlib import Path

import pytest

from guild.builder import GuildBuilder
from guild.checking.loader import load_file, load_json, load_yaml
from guild.checking.plan import Plan
from guild.client import GuildClient
from guild.errors import SpecError
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from guild.testing import launched

YAML = "id: x\nbus: memory://\nagents:\n  - {id: a, type: 'agents.hello:Greeter'}\n"
JSON = '{"id": "x", "bus": "memory://", "agents": [{"id": "a", "type": "agents.hello:Greeter"}]}'


async def test_one_permission_is_enough_to_load_launch_connect_and_test(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(YAML)

    for spec in (
        load_yaml(YAML, allow=["agents"]),
        load_json(JSON, allow=["agents"]),
        load_file(tmp_path / "x.yaml", allow=["agents"]),
        GuildBuilder.from_yaml_file(tmp_path / "x.yaml", allow=("agents",)).build_spec(),
        GuildBuilder.from_yaml(YAML, allow=("agents",)).set_name("y").build_spec(),
        GuildBuilder.from_json(JSON, allow=("agents",)).build_spec(),
    ):
        assert Plan.of(spec).agents["a"].__name__ == "Greeter"
        assert Guild.launch(spec)
        async with GuildClient.connect(spec), launched(spec):
            pass
    async with GuildBuilder.from_yaml(YAML, allow=("agents",)).launch() as guild:
        assert guild.client


async def test_what_was_not_allowed_to_a_spec_is_allowed_where_it_is_used() -> None:
    spec = GuildSpec.model_validate(load_yaml(YAML, allow=["agents"]).as_data())

    for use in (Plan.of, Guild.launch, GuildClient.connect):
        with pytest.raises(SpecError, match="below a package that the operator allows"):
            use(spec)
        assert use(spec, allow=["agents"])
    with pytest.raises(SpecError, match="below a package that the operator allows"):
        async with launched(spec):
            pass
    async with GuildClient.connect(spec, allow=["agents"]), launched(spec, allow=["agents"]):
        pass


def test_a_permission_is_no_part_of_what_a_spec_says() -> None:
    spec = load_yaml(YAML, allow=["agents"])

    assert spec == GuildSpec.model_validate(spec.as_data())
    assert "agents" not in spec.model_dump_json().replace('"agents":', "").replace(
        "agents.hello", ""
    )


def test_a_permission_of_one_spec_is_none_of_another() -> None:
    load_yaml(YAML, allow=["agents"])

    with pytest.raises(SpecError, match="below a package that the operator allows"):
        load_yaml(YAML)
