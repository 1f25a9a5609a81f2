"""Building specs in Python: the same as in YAML."""

from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from guild.builder import AgentBuilder, GuildBuilder, RouteBuilder
from guild.checking.loader import load_yaml
from guild.errors import GuildError, SpecError
from tests.guild.samples import Echo, EchoProps, NeedsStore, Ping, Pong


def test_builder_and_yaml_make_the_same_spec() -> None:
    echo = (
        AgentBuilder(Echo)
        .set_id("echo")
        .set_name("Echo")
        .set_description("Says it again")
        .set_properties(EchoProps(prefix="> "))
        .add_additional_topic("pings")
        .listen_to_default_topic(False)
        .act_only_when_tagged()
        .set_output_topic("pongs")
        .set_order("text", partitions=4)
        .set_replicas(2)
        .set_concurrency(3)
        .set_timeout(1.5)
        .set_lease(30)
        .set_retry(attempts=3)
        .set_restart(policy="transient")
        .build_spec()
    )
    built = (
        GuildBuilder("writers", "Writers", "They write")
        .set_messaging("memory://")
        .set_execution_engine("inprocess")
        .set_drain(3)
        .add_agent_spec(echo)
        .add_topic("pongs")
        .add_end(Pong)
        .add_route(
            RouteBuilder(echo)
            .on_message(Pong)
            .to("pongs")
            .when("text")
            .transform("{text: text}", into=Pong)
        )
        .build_spec()
    )

    read = load_yaml(
        """\
id: writers
name: Writers
description: They write
bus: memory://
drain_s: 3
topics: [pongs]
ends: [tests.pong]
agents:
  - id: echo
    type: tests.guild.samples:Echo
    name: Echo
    description: Says it again
    topics: [pings]
    properties: {prefix: "> "}
    only_when_tagged: true
    output_topic: pongs
    ordered_by: text
    partitions: 4
    replicas: 2
    concurrency: 3
    timeout_s: 1.5
    lease_s: 30
    retry: {attempts: 3}
    restart: {policy: transient}
routes:
  - {from: echo, message: tests.pong, to: pongs, when: text,
     transform: "{text: text}", into: tests.pong}
"""
    )
    assert read == built


def test_an_agent_answers_everyone_unless_told_otherwise() -> None:
    builder = AgentBuilder(Echo).set_id("a")

    assert builder.build_spec().answers == "everyone"
    assert builder.answer_only_requesters().build_spec().answers == "requester"
    with pytest.raises(SpecError, match="'answers: requester' sends nothing to an 'output_topic'"):
        builder.set_output_topic("pongs").build_spec()


def test_an_agent_listens_to_the_default_topic_unless_told_otherwise() -> None:
    builder = AgentBuilder(Echo).set_id("a").add_additional_topic("more")

    assert builder.build_spec().topics == ("default_topic", "more")
    assert builder.listen_to_default_topic(False).build_spec().topics == ("more",)


def test_everything_wrong_with_an_agent_is_told() -> None:
    with pytest.raises(SpecError) as caught:
        AgentBuilder(Echo).add_additional_topic("a b").set_replicas(0).build_spec()

    assert [problem.path for problem in caught.value.problems] == [
        (),
        ("topics", 1),
        ("replicas",),
    ]
    assert str(caught.value).startswith("spec: the key 'id' is missing\ntopics[1]: ")


def test_properties_with_a_secret_must_be_references() -> None:
    builder = AgentBuilder(Echo).set_id("a")

    with pytest.raises(GuildError, match="references instead") as caught:
        builder.set_properties(EchoProps(token=SecretStr("hunter2")))
    assert "hunter2" not in str(caught.value)
    spec = builder.set_properties({"token": "${env:TOKEN}"}).build_spec()
    assert spec.properties == {"token": "${env:TOKEN}"}


def test_only_what_was_set_goes_into_the_spec() -> None:
    spec = AgentBuilder(Echo).set_id("a").set_properties(EchoProps(times=2)).build_spec()

    assert spec.properties == {"times": 2}


def test_properties_that_are_no_json_are_refused() -> None:
    for value in (float("nan"), object(), {1, 2}):
        with pytest.raises(SpecError):
            AgentBuilder(Echo).set_id("a").set_properties({"prefix": value}).build_spec()


def test_a_spec_from_yaml_can_be_built_on() -> None:
    yaml = "id: x\nagents:\n  - {id: a, type: hello.greeter}\n"
    builder = GuildBuilder.from_yaml(yaml).add_agent_spec(
        AgentBuilder(Echo).set_id("b").build_spec()
    )

    spec = builder.set_name("More").build_spec()

    assert [agent.id for agent in spec.agents] == ["a", "b"]
    assert spec.source.place(("agents", 0)) == "<yaml>:3:5"
    assert GuildBuilder.from_json('{"id": "x"}').build_spec().id == "x"


def test_resources_may_be_any_factory() -> None:
    @asynccontextmanager
    async def store() -> Any:
        yield "the store"

    spec = (
        GuildBuilder("x")
        .add_resource("disc", store)
        .add_agent_spec(
            AgentBuilder(NeedsStore).set_id("a").set_dependency_map({"store": "disc"}).build_spec()
        )
        .build_spec()
    )

    assert spec.agents[0].dependencies == {"store": "disc"}
    assert spec.resources["disc"].type.endswith("<locals>.store")


def test_a_route_needs_a_message_and_a_target() -> None:
    with pytest.raises(SpecError, match="the key 'message' is missing"):
        RouteBuilder().from_agent("a").build_spec()
    assert RouteBuilder("a").on_message(Ping).to("t").build_spec().from_agent == "a"
