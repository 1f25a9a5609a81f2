"""References stand wherever a spec has a value, and mean there what the value could be."""

import json
from typing import Any

import pytest

from guild.agent.agent import Agent
from guild.agent.registry import type_name_of
from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder
from guild.checking.loader import dump_yaml, load_json, load_yaml
from guild.checking.plan import Plan
from guild.errors import SpecError
from guild.runtime import Guild
from guild.spec.spec import GuildSpec
from guild.testing import guild_of
from tests.guild.samples import Echo, Ping, Pong

ECHO = type_name_of(Echo)

EVERYWHERE: dict[str, Any] = {
    "id": "${GUILD:-writers}",
    "description": "of ${OWNER:-nobody} for 3 $${",
    "topics": ["${OUT:-outside}"],
    "drain_s": "${DRAIN:-3}",
    "agents": [
        {
            "id": "${ECHO:-echo}",
            "type": "${TYPE:-" + ECHO + "}",
            "topics": ["${TOPIC:-prompts}"],
            "replicas": "${REPLICAS:-3}",
            "concurrency": "${CONCURRENCY:-4}",
            "timeout_s": "${TIMEOUT:-1.5}",
            "only_when_tagged": "${TAGGED:-yes}",
            "ordered_by": "${ORDER:-key}",
            "partitions": "${PARTITIONS:-2}",
            "output_topic": "${OUTPUT:-prompts}",
            "retry": {"attempts": "${ATTEMPTS:-2}", "factor": "${FACTOR:-1.5}"},
            "restart": {"policy": "${POLICY:-transient}"},
        }
    ],
    "routes": [
        {
            "from": "${ECHO:-echo}",
            "message": "${GIVEN:-tests.pong}",
            "to": "${OUT:-outside}",
            "when": "text != '${NOT:-no}'",
        }
    ],
    "schedules": [
        {
            "id": "s",
            "every_s": "${EVERY:-5}",
            "message": "tests.ping",
            "topic": "${TOPIC:-prompts}",
            "data": {"text": "${TEXT:-tick}"},
            "missed": "${MISSED:-skip}",
        }
    ],
}


def meant(spec: GuildSpec, **environ: str) -> GuildSpec:
    return Plan.of(spec, environ=environ).spec


def refused(data: dict[str, Any], **environ: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_json(json.dumps(data, indent=1), "s.json", environ=environ)
    return str(caught.value).splitlines()


def test_a_reference_means_a_number_a_boolean_or_a_word_where_one_is_meant() -> None:
    spec = load_json(json.dumps(EVERYWHERE), environ={})

    plan = meant(spec)
    (agent,), (route,), (schedule,) = plan.agents, plan.routes, plan.schedules
    assert (plan.id, plan.description, plan.topics) == (
        "writers",
        "of nobody for 3 ${",
        ("outside",),
    )
    assert (agent.id, agent.type, agent.topics) == ("echo", ECHO, ("prompts",))
    assert (agent.replicas, agent.concurrency, agent.timeout_s, agent.partitions) == (3, 4, 1.5, 2)
    assert (agent.only_when_tagged, agent.ordered_by) == (True, "key")
    assert (agent.retry.attempts, agent.retry.factor, plan.drain_s) == (2, 1.5, 3.0)
    assert (agent.restart.policy, schedule.missed, schedule.every_s) == ("transient", "skip", 5.0)
    assert (route.from_agent, route.to, route.when) == ("echo", "outside", "text != 'no'")
    assert schedule.data == {"text": "tick"}
    assert type(schedule.data["text"]) is str


def test_a_variable_is_looked_up_where_the_spec_is_used() -> None:
    spec = load_json(json.dumps(EVERYWHERE), environ={})

    assert meant(spec, REPLICAS="7").agents[0].replicas == 7
    assert meant(spec, REPLICAS="8").agents[0].replicas == 8


def test_text_that_looks_like_a_number_stays_text_where_text_is_meant() -> None:
    spec = load_json(json.dumps(EVERYWHERE), environ={})

    plan = meant(spec, GUILD="007", OWNER="true", TEXT="1e3")
    assert (plan.id, plan.description) == ("007", "of true for 3 ${")
    assert plan.schedules[0].data == {"text": "1e3"}


def test_a_spec_keeps_its_references_through_yaml() -> None:
    spec = load_json(json.dumps(EVERYWHERE), environ={})

    again = load_yaml(dump_yaml(spec), environ={})

    assert again == spec
    assert json.loads(json.dumps(spec.as_data())) == EVERYWHERE


def test_a_builder_takes_references_too() -> None:
    agent = (
        AgentBuilder(Echo)
        .set_id("echo")
        .set_replicas("${N:-3}")
        .set_timeout("${T:-1.5}")
        .act_only_when_tagged("${B:-true}")
        .set_order("${KEY:-key}", partitions="${N:-3}")
        .set_retry(attempts="${N:-3}")
        .build_spec()
    )
    spec = (
        GuildBuilder("g")
        .set_drain("${D:-2}")
        .add_agent_spec(agent)
        .add_schedule("s", Ping, every_s="${E:-5}")
        .add_topic("${OUT:-out}")
        .add_route(RouteBuilder(agent).on_message(Pong).to("${OUT:-out}"))
        .build_spec()
    )

    assert load_yaml(dump_yaml(spec), environ={}) == spec
    (agent,) = meant(spec).agents
    assert (agent.replicas, agent.partitions, agent.retry.attempts) == (3, 3, 3)
    assert (agent.timeout_s, agent.only_when_tagged) == (1.5, True)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"REPLICAS": "many"}, "unable to parse string as an integer (from ${REPLICAS:-3})"),
        ({"REPLICAS": "0"}, "should be greater than or equal to 1 (from ${REPLICAS:-3})"),
        ({"TIMEOUT": "nan"}, "'timeout_s' should be a finite number (from ${TIMEOUT:-1.5})"),
        ({"TIMEOUT": "-1"}, "'timeout_s' should be greater than 0 (from ${TIMEOUT:-1.5})"),
        ({"TAGGED": "perhaps"}, "'only_when_tagged' should be a valid boolean"),
        ({"POLICY": "permanant"}, "(from ${POLICY:-transient}); did you mean 'permanent'?"),
        ({"TOPIC": "a b"}, "topics[0]: 'a b' is not a topic"),
        ({"GUILD": "a b"}, "(from ${GUILD:-writers})"),
        ({"ORDER": "txt"}, "no message that 'echo' handles has a field 'txt' to order by (from"),
        ({"EVERY": "0"}, "'every_s' should be greater than or equal to 1 (from ${EVERY:-5})"),
        ({"OUTPUT": "a.*"}, "'output_topic': 'a.*' is a pattern"),
        ({"GIVEN": "tests.ping"}, "'echo' never gives tests.ping; it gives tests.pong (from ${G"),
        ({"NOT": "'"}, "(from text != '${NOT:-no}')"),
    ],
)  # fmt: skip
def test_what_a_variable_may_not_be_is_told_with_its_place_and_name(
    environ: dict[str, str], expected: str
) -> None:
    first, *_ = refused(EVERYWHERE, **environ)

    assert expected in first
    assert first.startswith("s.json:")


def test_variables_that_are_not_set_are_told_once_each_and_nothing_else_is() -> None:
    text = json.dumps(EVERYWHERE)
    for name in ("REPLICAS:-3", "TOPIC:-prompts", "GUILD:-writers", "GIVEN:-tests.pong"):
        text = text.replace(name, name.partition(":")[0])

    lines = refused(json.loads(text))

    assert len(lines) == 5  # TOPIC stands twice
    assert all("is not set and has no default" in line for line in lines)


@pytest.mark.parametrize("name", ["ECHO:-echo", "TOPIC:-prompts", "TYPE:-" + ECHO])
def test_what_is_not_known_here_is_not_missed_elsewhere(name: str) -> None:
    """The agent's id, topic or type, which a route and a schedule rely on."""
    data = json.loads(json.dumps(EVERYWHERE))
    agent = json.dumps(data["agents"][0]).replace(name, name.partition(":")[0])
    data["agents"] = [json.loads(agent)]

    (line,) = refused(data)

    assert "is not set and has no default" in line


def test_a_list_or_a_group_of_keys_is_not_made_from_text() -> None:
    assert refused({"id": "x", "agents": "${A:-[]}"}) == [
        "s.json:3:12: 'agents' should be a list (from ${A:-[]})"
    ]
    (line,) = refused(
        {"id": "x", "agents": [{"id": "a", "type": ECHO, "topics": "${T:-a}", "retry": "${R:-3}"}]}
    )[:1]
    assert "'topics' should be a list, also where it is just one: [...] (from ${T:-a})" in line


@pytest.mark.parametrize("secret", ["${env:N}", "${file:/run/n}"])
def test_a_secret_stands_only_where_it_is_not_shown(secret: str) -> None:
    data = {"id": "x", "agents": [{"id": "a", "type": ECHO, "replicas": secret}]}

    (line,) = refused(data, N="3")

    assert "a secret may stand in 'bus', 'neighbours' and 'properties' alone" in line


async def test_a_guild_runs_with_what_its_references_stand_for() -> None:
    spec = GuildBuilder("${ID:-tests}").set_messaging("memory://refs")
    spec.add_agent_spec(AgentBuilder(Echo).set_id("echo").set_replicas("${N:-2}").build_spec())

    async with Guild.launch(spec.build_spec(), environ={"N": "3"}) as guild:
        assert len(guild.replicas) == 3
        assert guild.spec.id == "tests"
        assert (await guild.client.request("default_topic", Ping(text="x"))).text == "x"


def test_a_spec_without_references_is_left_alone() -> None:
    class Quiet(Agent):
        pass

    spec = guild_of(Quiet)

    assert Plan.of(spec).spec is spec
