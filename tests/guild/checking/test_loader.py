"""Loading specs: every mistake is told with its place, and what may have been meant."""

import sys
from pathlib import Path

import pytest

from guild.agent.registry import Registry, type_name_of
from guild.checking.loader import dump_yaml, load_file, load_json, load_yaml
from guild.checking.plan import Plan
from guild.errors import SpecError, WiringError
from guild.spec.spec import DEFAULT_BUS, GuildSpec
from tests.guild import samples

ECHO = type_name_of(samples.Echo)
SENDER = type_name_of(samples.Sender)
NEEDS_STORE = type_name_of(samples.NeedsStore)

HEAD = f"""\
id: writers
topics: [outside]
agents:
  - id: echo
    type: {ECHO}
"""


def problems(text: str, **options: dict[str, str]) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_yaml(text, "s.yaml", **options)  # type: ignore[arg-type] # one option at most
    return str(caught.value).splitlines()


def test_a_short_spec_has_sensible_defaults() -> None:
    spec = load_yaml(HEAD)

    (agent,) = spec.agents
    assert agent.topics == ("default_topic",)
    assert (agent.replicas, agent.concurrency, agent.timeout_s) == (1, 16, None)
    assert (agent.retry.attempts, agent.restart.policy) == (5, "permanent")
    assert (spec.bus, spec.engine.type) == (DEFAULT_BUS, "inprocess")


def test_a_spec_says_everything_that_an_agent_can_be_told() -> None:
    spec = load_yaml(
        HEAD
        + """\
    name: Echo
    description: Says it again
    topics: [one, two.*]
    properties: {prefix: "> ", times: 2}
    dependencies: {}
    replicas: 2
    concurrency: 4
    timeout_s: 1.5
    only_when_tagged: true
    output_topic: one
    retry: {attempts: 3, backoff_s: 2}
    restart: {policy: transient, intensity: 5, within_s: 60}
"""
    )

    (agent,) = spec.agents
    assert agent.topics == ("one", "two.*")
    assert (agent.retry.attempts, agent.retry.backoff_s) == (3, 2.0)
    assert (agent.restart.policy, agent.only_when_tagged) == ("transient", True)


@pytest.mark.parametrize(
    ("addition", "expected"),
    [
        # unknown keys, at every depth
        ("nam: x\n", "s.yaml:6:1: unknown key 'nam'; did you mean 'name'?"),
        ("zzz: x\n", "s.yaml:6:1: unknown key 'zzz'; known are id, name, description"),
        ("    topic: [a]\n", "s.yaml:6:5: unknown key 'topic'; did you mean 'topics'?"),
        ("    retry: {attemps: 3}\n", "s.yaml:6:13: unknown key 'attemps'; did you mean 'attem"),
        ("    properties: {time: 3}\n", "s.yaml:6:18: unknown key 'time'; did you mean 'times'?"),
        ("routes:\n  - {form: echo, message: tests.pong, to: outside}\n", "s.yaml:7:6: unk"),
        (
            "routes:\n  - {from_agent: echo, message: tests.pong, to: outside}\n",
            "s.yaml:7:6: unknow",
        ),
        # wrong types
        ("    replicas: two\n", "s.yaml:6:15: 'replicas' should be a valid integer"),
        (
            '    replicas: "2"\n',
            "s.yaml:6:15: 'replicas' should be a valid integer: write it without quotes",
        ),
        ("    topics: prompts\n", "s.yaml:6:13: 'topics' should be a list, also where it is"),
        ("    topics: null\n", "s.yaml:6:13: 'topics' should be a list"),
        ("    retry: 3\n", "s.yaml:6:12: 'retry' should be a mapping of keys such as attempts, ba"),
        ("engine: inprocess\n", "s.yaml:6:9: 'engine' should be a mapping of keys such as type"),
        ("    dependencies: x\n", "s.yaml:6:19: 'dependencies' should be a mapping"),
        (
            "    timeout_s: 5m\n",
            "s.yaml:6:16: 'timeout_s' should be a valid number: write a number ",
        ),
        (
            "    retry: {backoff_s: 500 ms}\n",
            "s.yaml:6:24: 'backoff_s' should be a valid numb",
        ),
        ("    name: x\n    output_topic: ''\n", "s.yaml:7:19: 'output_topic': a topic has 1 to"),
        ("  - {id: b, type: ''}\n", "s.yaml:6:19: 'type' must not be empty"),
        (
            "    only_when_tagged: yes\n",
            "s.yaml:6:23: 'only_when_tagged' should be a valid boolean: write true or false",
        ),
        ("    name: 007\n", "s.yaml:6:11: 'name' should be a valid string: write it in quotes"),
        ("    name: true\n", "s.yaml:6:11: 'name' should be a valid string: write it in quotes"),
        ("    properties: [1]\n", "s.yaml:6:17: 'properties' should be a mapping"),
        ("routes: {}\n", "s.yaml:6:9: 'routes' should be a list"),
        ("resources: []\n", "s.yaml:6:12: 'resources' should be a mapping of names"),
        ("  - echo\n", "s.yaml:6:5: this should be a mapping of keys such as id, type, name"),
        # buses, as far as they are known here
        (
            "bus: no\n",
            "s.yaml:6:6: bus: 'no' is not a bus: use memory://, embedded, redis://, redi",
        ),
        (
            "bus: rediss:/x\n",
            "s.yaml:6:6: bus: rediss:/x is not the URL of a server: it must begin ",
        ),
        (
            "bus: redis://localhost?proflie=durable\n",
            "s.yaml:6:6: bus: redis://localhost?proflie=dur",
        ),
        (
            "bus: memory://?max_backlog=x\n",
            "s.yaml:6:6: bus: max_backlog=x in the URL of the bus: ",
        ),
        (
            "bus: redis://:${env:PW}@localhost?proflie=durable\n",
            "s.yaml:6:6: bus: redis://:***@localhost?proflie=durable has proflie behind the questi",
        ),
        ("bus: ${NOPE:-kafka://x}\n", "s.yaml:6:6: bus: 'kafka' is not a bus: use memory://, embe"),
        ("neighbours: {other: kafka://x}\n", "s.yaml:6:21: neighbours.other: 'kafka' is not a bus"),
        # wrong values
        ("    replicas: 0\n", "s.yaml:6:15: 'replicas' should be greater than or equal to 1"),
        ("    timeout_s: -1\n", "s.yaml:6:16: 'timeout_s' should be greater than 0"),
        ("    restart: {policy: permanant}\n", "s.yaml:6:23: 'policy' should be 'permanent', "),
        ("    topics: [a b]\n", "s.yaml:6:14: topics[0]: 'a b' is not a topic"),
        ("    topics: [ok, _retry.x]\n", "s.yaml:6:18: topics[1]: '_retry.x' is reserved"),
        ("    answers: nobody\n", "s.yaml:6:14: 'answers' should be 'everyone' or 'requester'"),
        ("    output_topic: a.*\n", "s.yaml:6:19: 'output_topic': 'a.*' is a pattern"),
        ("    properties: {times: 10}\n", "s.yaml:6:25: 'times' should be less than or equal to 9"),
        ("    properties: {tags: {a: [1, x]}}\n", "s.yaml:6:32: a[1] should be a valid integer"),
        ("bus: ''\n", "s.yaml:6:6: 'bus' must not be empty"),
        ("drain_s: -1\n", "s.yaml:6:10: 'drain_s' should be greater than or equal to 0"),
        # missing keys
        ("  - {id: b}\n", "s.yaml:6:5: the key 'type' is missing"),
        ("routes:\n  - {message: tests.pong}\n", "s.yaml:7:5: the key 'to' is missing"),
        # names that lead nowhere
        ("  - {id: b, type: hello.greter}\n", "s.yaml:6:19: unknown agent type 'hello.greter'; "),
        ("  - {id: b, type: os:System}\n", "s.yaml:6:19: unknown agent type 'os:System'; a class"),
        ("engine: {type: inproces}\n", "s.yaml:6:16: unknown engine 'inproces'; there are: inp"),
        ("resources: {r: {type: hello.x}}\n", "s.yaml:6:23: unknown resource type 'hello.x'"),
        (
            "    ordered_by: txt\n",
            "s.yaml:6:17: no message that 'echo' handles has a field 'txt' to",
        ),
        ("    partitions: 4\n", "s.yaml:4:5: agents[0]: 'partitions' split what is ordered: set"),
        ("    partitions: 0\n", "s.yaml:6:17: 'partitions' should be greater than or equal to 1"),
        ("ends: [tests.pon]\n", "s.yaml:6:8: no agent here knows a message 'tests.pon'; did y"),
        ("    dependencies: {store: disc}\n", "s.yaml:6:27: there is no resource 'disc'"),
        # ids
        (f"  - {{id: echo, type: '{ECHO}'}}\n", "s.yaml:6:10: the id 'echo' is taken by agents[0]"),
        (f"  - {{id: a b, type: '{ECHO}'}}\n", "s.yaml:6:10: 'id': 'a b' is not an id: 1 to 100"),
        # references
        ("    properties: {prefix: '${NOPE}'}\n", "s.yaml:6:26: the environment variable NOPE is"),
        ("    properties: {prefix: '${a b}'}\n", "s.yaml:6:26: ${a b} is not a reference: write"),
        # routes
        ("routes:\n  - {from: ecko, message: tests.pong, to: outside}\n", "s.yaml:7:12: ther"),
        ("routes:\n  - {from: echo, message: tests.pnog, to: outside}\n", "s.yaml:7:27: no a"),
        ("routes:\n  - {from: echo, message: tests.pong, to: outsid}\n", "s.yaml:7:43: nobo"),
        ("routes:\n  - {message: tests.ping, to: outside}\n", "s.yaml:7:15: no agent never"),
        (
            "routes:\n  - {message: tests.pong, to: outside, into: Nope}\n",
            "s.yaml:7:46: no agent here knows a message 'Nope'",
        ),
        (
            "routes:\n  - {message: tests.pong, to: outside, when: 'a[['}\n",
            "s.yaml:7:46: 'when': not a JMESPath expression",
        ),
        (
            "routes:\n  - {message: tests.pong, to: outside, when: 'a[? lenght(b) > `1`]'}\n",
            "s.yaml:7:46: 'when': not a JMESPath expression: no function lenght(), but length()",
        ),
        (
            "routes:\n  - {message: tests.pong, to: outside, transform: '{'}\n",
            "s.yaml:7:51: 'transform': not a JMESPath expression",
        ),
        # schedules
        (
            "schedules:\n  - {id: s, message: tests.ping}\n",
            "s.yaml:7:5: schedules[0]: a schedule needs either 'cron' or 'every_s'",
        ),
        (
            "schedules:\n  - {id: s, message: tests.ping, every_s: 5, cron: '* * * * *'}\n",
            "s.yaml:7:5: schedules[0]: a schedule needs either",
        ),
        (
            "schedules:\n  - {id: s, message: tests.ping, cron: 61 * * * *}\n",
            "s.yaml:7:40: 'cron': '61 * * * *' is not a cron expression (Bad minute)",
        ),
        (
            "schedules:\n  - {id: s, message: tests.ping, every_s: 0.5}\n",
            "s.yaml:7:43: 'every_s' should be greater than or equal to 1",
        ),
        (
            "schedules:\n  - {id: s, message: tests.ping, every_s: 5, topic: nowhere}\n",
            "s.yaml:7:53: nobody listens to the topic 'nowhere'",
        ),
        (
            "schedules:\n  - {id: s, message: tests.ping, every_s: 5, data: {text: 3}}\n",
            "s.yaml:7:59: 'text' should be a valid string",
        ),
        (
            "schedules:\n  - {id: s, message: tests.pnig, every_s: 5}\n",
            "s.yaml:7:22: no agent here knows a message 'tests.pnig'",
        ),
        (
            "schedules:\n  - {id: s, message: tests.pong, every_s: 5, data: {text: a}}\n",
            "s.yaml:7:22: nobody who listens to 'default_topic' handles tests.pong",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(addition: str, expected: str) -> None:
    lines = problems(HEAD + addition)

    assert len(lines) == 1
    assert lines[0].startswith(expected)


def test_an_agent_whose_constructor_needs_a_resource_says_so() -> None:
    text = f"id: x\nagents:\n  - {{id: a, type: '{NEEDS_STORE}'}}\n"

    assert problems(text) == [
        (
            "s.yaml:3:5: 'a' needs a resource 'store': add it under 'resources', or name another "
            "under the agent's 'dependencies'"
        )
    ]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    lines = problems(
        f"""\
id: two words
nam: x
agents:
  - id: a
    type: hello.greter
  - id: b
    type: {ECHO}
    topics: ["a b"]
    properties: {{tims: 1, prefix: 3}}
    restart: {{polcy: x, policy: permanant}}
    topics: [twice]
  - type: {ECHO}
routes:
  - {{from: c, message: Foo, to: nope, when: "a[["}}
"""
    )

    assert [line.split(": ")[0] for line in lines] == [
        "s.yaml:1:5",
        "s.yaml:2:1",
        "s.yaml:5:11",
        "s.yaml:8:14",
        "s.yaml:9:18",
        "s.yaml:9:35",
        "s.yaml:10:15",
        "s.yaml:10:33",
        "s.yaml:11:5",
        "s.yaml:12:5",
        "s.yaml:14:45",
    ]


def test_what_cannot_be_read_is_not_missed_elsewhere() -> None:
    """A route to the topic of an agent that is broken elsewhere is not wrong as well."""
    lines = problems(
        f"""\
id: x
agents:
  - {{id: a, type: '{ECHO}'}}
  - {{id: b, type: '{ECHO}', topics: [b b]}}
routes:
  - {{from: a, message: tests.pong, to: quite_different}}
"""
    )

    assert len(lines) == 1


def test_a_wrong_property_is_told_without_its_value() -> None:
    (line,) = problems(HEAD + "    properties: {times: hunter2}\n")

    assert "times" in line
    assert "hunter2" not in line


def test_wiring_that_fails_alone_is_a_wiring_error() -> None:
    with pytest.raises(WiringError, match=r"'s' sends tests\.note, which nobody handles"):
        load_yaml(f"id: x\nagents:\n  - {{id: s, type: '{SENDER}'}}\n")


def test_a_spec_that_is_no_mapping_is_refused() -> None:
    assert problems("- a\n") == ["s.yaml:1:1: a spec is a mapping of keys such as id and agents"]


def test_references_are_checked_with_their_value_and_kept_as_they_are() -> None:
    text = HEAD + "    properties: {times: '${TIMES:-3}', token: '${env:NOT_SET}'}\n"

    spec = load_yaml(text, environ={})

    assert spec.agents[0].properties == {"times": "${TIMES:-3}", "token": "${env:NOT_SET}"}
    assert load_yaml(dump_yaml(spec), environ={}) == spec
    assert problems(text, environ={"TIMES": "12"}) == [
        "s.yaml:6:25: 'times' should be less than or equal to 9 (from ${TIMES:-3})"
    ]


def test_what_a_secret_stands_for_is_not_judged_before_it_is_known() -> None:
    text = HEAD + "    properties: {times: '${env:TIMES}'}\n"

    assert load_yaml(text, environ={}).agents[0].properties == {"times": "${env:TIMES}"}


def test_classes_below_a_package_that_the_operator_allows_may_be_named() -> None:
    text = "id: x\nagents:\n  - {id: a, type: agents.hello.Greeter}\n"

    assert load_yaml(text, allow=["agents"]).agents[0].type == "agents.hello.Greeter"
    for allowed in ([], ["agent"], ["agents.hell"]):
        with pytest.raises(SpecError, match="below a package that the operator allows"):
            load_yaml(text, allow=allowed)


def test_nothing_of_a_spec_is_imported_that_is_not_allowed(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        load_yaml("id: x\nagents:\n  - {id: a, type: antigravity.X}\n")

    assert "antigravity" not in sys.modules


def test_a_class_that_is_no_agent_and_a_module_that_breaks_are_told() -> None:
    text = "id: x\nagents:\n  - {id: a, type: agents.hello.Greet}\n  - {id: b, type: agents.no.X}\n"

    with pytest.raises(SpecError) as caught:
        load_yaml(text, allow=["agents"])

    first, second = str(caught.value).splitlines()
    assert first.endswith("'agents.hello.Greet' is not an Agent class")
    assert "cannot be loaded: ModuleNotFoundError" in second


def test_json_makes_the_same_spec_and_has_places_too() -> None:
    agent = f'{{"id": "echo", "type": "{ECHO}"}}'
    json = f'{{"id": "writers", "topics": ["outside"], "agents": [{agent}]}}'

    assert load_json(json) == load_yaml(HEAD)
    with pytest.raises(SpecError, match=r"<json>:1:2: unknown key 'idd'; did you mean 'id'\?"):
        load_json('{"idd": "x", "id": "x"}')


def test_a_file_is_named_as_it_was_given(tmp_path: Path) -> None:
    file = tmp_path / "guild.yaml"
    file.write_text("id: x\nagents: 3\n")

    with pytest.raises(SpecError) as caught:
        load_file(file)

    assert str(caught.value) == f"{file}:2:9: 'agents' should be a list"


def test_where_a_spec_was_read_is_no_part_of_it() -> None:
    spec = load_yaml(HEAD)

    assert spec == GuildSpec.model_validate(spec.model_dump(by_alias=True))
    assert spec.source.place(("agents", 0)) == "<yaml>:4:5"


def test_an_empty_registry_is_enough_for_classes_of_this_process() -> None:
    assert Registry().agent_class(ECHO) is samples.Echo


@pytest.mark.parametrize(
    "bus",
    [
        *("memory://", "embedded", "embedded:data", "redis://localhost?profile=durable"),
        *("redis://db.example", "sentinel://a,b/name", "redis+cluster://a,b?profile=standard"),
        *(
            "${env:URL}",
            "${file:/run/url}",
            "${NOT_SET}",
            "redis://localhost?profile=${env:PROFILE}",
        ),
        *("redis://:${env:PW}@db.example/0", "rediss://me:${file:/run/pw}@db.example"),
    ],
)
def test_a_bus_that_may_be_right_is_not_judged(bus: str) -> None:
    assert load_yaml(f"bus: {bus}\n{HEAD}").bus == bus
    assert load_yaml(f'neighbours: {{other: "{bus}"}}\n{HEAD}').neighbours == {"other": bus}


def test_a_reference_in_place_of_a_mapping_is_told_or_left_alone() -> None:
    load_yaml(f"neighbours: ${{NOT_SET}}\n{HEAD}")
    agent = 'agents: [{id: a, type: hello.greeter, properties: "${NOT_SET}"}]\n'
    with pytest.raises(SpecError, match="NOT_SET is not set and has no default"):
        load_yaml(f"id: x\n{agent}")


def test_a_bus_that_is_built_in_python_is_judged_too() -> None:
    with pytest.raises(SpecError, match="bus: 'kafka' is not a bus"):
        Plan.of(GuildSpec(id="x", bus="kafka://x"))
