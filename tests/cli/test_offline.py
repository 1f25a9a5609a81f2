"""Commands that need no running guild, and the exit status of every way to fail."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from guild.cli.calling.call import Call, find_spec, shipped_specs
from guild.cli.printing.output import Output
from guild.cli.syntax.options import Common
from guild.errors import SpecError
from guild.operations.composing import conversation_of
from messaging import Message
from tests.cli.conftest import SPEC, Run, Start
from tests.servers import running_redis, running_redis_5

SHIPPED = sorted(path.stem for path in shipped_specs().glob("*.yaml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "guild.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """The crew on a bus inside whatever process runs it."""
    return written(tmp_path, SPEC.format(bus="memory://"))


def test_a_guild_is_run_for_one_request(run: Run, private: Path) -> None:
    outcome = run("run", private, "--request", "crew.work", "count=7", "--json")

    assert outcome.code == 0
    assert outcome.documents() == [{"type": "crew.worked", "data": {"count": 7}}]


def test_a_shipped_spec_is_known_by_its_name(run: Run) -> None:
    outcome = run("run", "hello", "--request", "Greet", "name=Ada", "--json")

    assert outcome.documents()[0]["data"]["text"] == "Hello, Ada! Welcome to the guild."


def test_a_file_goes_before_a_shipped_spec_of_its_name(tmp_path: Path) -> None:
    assert find_spec(Path("hello")) == shipped_specs() / "hello.yaml"
    (tmp_path / "hello").touch()
    assert find_spec(Path("hello")) == Path("hello")
    with pytest.raises(SpecError, match="cannot read specs/hello: no such file"):
        find_spec(Path("specs/hello"))


def test_a_name_of_no_spec_is_told_with_those_that_there_are(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cafe.yaml").write_text("")

    for name, meant in (("helo", "hello"), ("cafe", "cafe.yaml")):
        outcome = run("validate", name)
        assert outcome.code == 3
        assert outcome.err.startswith(f"{name}: no such file, and no shipped spec of that name")
        assert (
            f"those are approvals, chat, hello, phi, research, stateful; did you mean {meant!r}?"
            in (outcome.err)
        )


def test_a_file_that_is_not_there_is_told_with_one_beside_it(run: Run, private: Path) -> None:
    gone, folder = private.with_suffix(".yml"), private.parent

    assert run("validate", gone).err == (
        f"spec: cannot read {gone}: no such file; did you mean '{private}'?\n"
    )
    assert run("graph", folder).err == (
        f"spec: cannot read {folder}: it is a folder; name the file in it\n"
    )
    long = folder / ("x" * 300)
    assert run("validate", long).err.endswith(f"cannot read {long}: File name too long\n")
    assert run("validate", gone, private, "--allow", "tests").out.endswith("1 agent, 0 routes\n")


def test_help_says_whole_sentences(run: Run) -> None:
    assert "..." not in run("--help").out.partition("Commands:")[2]


def test_a_guild_without_agents_has_nothing_to_draw(run: Run, tmp_path: Path) -> None:
    outcome = run("graph", written(tmp_path, "id: empty\n"))

    assert (outcome.code, outcome.out) == (0, "")
    assert outcome.err == "empty has no agent that handles or sends anything\n"


def test_several_packages_are_allowed_with_commas(run: Run, private: Path) -> None:
    assert run("validate", private, "--allow", "shop,tests").code == 0
    assert run("validate", private, "--allow", "tests/cli").code == 2


def test_every_shipped_spec_is_valid(run: Run) -> None:
    outcome = run("validate", *SHIPPED)

    assert "hello" in SHIPPED
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.partition(":")[0] for line in outcome.out.splitlines()] == SHIPPED


def test_every_problem_of_every_spec_is_told_with_its_place(run: Run, tmp_path: Path) -> None:
    broken = written(
        tmp_path,
        "id: broken\nbsu: memory://\nagents:\n"
        "  - {id: a, type: hello.greter}\n  - {id: a, type: hello.greeter, replicas: many}\n",
    )

    outcome = run("validate", broken, "hello", "nowhere.yaml")

    assert outcome.code == 3
    assert outcome.out == "hello: ok, 2 agents, 1 route\n"
    first, second, taken, third, gone = outcome.err.splitlines()
    assert first == f"{broken}:2:1: unknown key 'bsu'; did you mean 'bus'?"
    assert second.startswith(f"{broken}:4:19: unknown agent type 'hello.greter'; did you mean")
    assert taken.startswith(f"{broken}:5:10: the id 'a' is taken")
    assert third.startswith(f"{broken}:5:")
    assert "replicas" in third
    assert gone == "spec: cannot read nowhere.yaml: no such file"


def test_problems_as_json_are_one_document_a_spec(run: Run, tmp_path: Path) -> None:
    broken = written(tmp_path, "id: broken\nbsu: x\nagents: []\n")

    outcome = run("validate", broken, "hello", "--json")

    bad, good = outcome.documents()
    assert (outcome.code, outcome.err) == (3, "")
    assert (bad["ok"], good["ok"]) == (False, True)
    assert bad["problems"][0]["line"] == 2
    assert bad["problems"][0]["suggestion"] == "bus"


@pytest.mark.parametrize("command", ["run", "graph", "agents", "tap"])
def test_a_broken_spec_is_3_whatever_was_wanted(run: Run, tmp_path: Path, command: str) -> None:
    assert run(command, written(tmp_path, "id: [")).code == 3


def test_a_class_that_is_not_allowed_says_how_to_allow_it(
    run: Run, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GUILDBUS_ALLOW")

    outcome = run("validate", private)

    assert outcome.code == 3
    assert "--allow tests" in outcome.err
    assert run("validate", private, "--allow", "tests.cli").code == 0


def test_allowed_classes_may_lie_in_the_current_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own_agents.py").write_text(
        "from guild import Agent, handles\nfrom messaging import Message\n\n"
        "class Ask(Message):\n    pass\n\nclass Own(Agent):\n"
        "    @handles\n    async def take(self, ask: Ask) -> None: ...\n"
    )
    spec = written(
        tmp_path, "id: own\nbus: memory://\nagents: [{id: own, type: 'own_agents:Own'}]\n"
    )

    assert run("validate", spec, "--allow", "own_agents").code == 0


def test_a_missing_extra_is_4_with_the_command_to_run(run: Run, tmp_path: Path) -> None:
    needy = written(tmp_path, SPEC.format(bus="memory://").replace("crew:Worker", "crew:Needy"))

    outcome = run("run", needy)

    assert outcome.code == 4
    assert f"{needy}:6:5: agent 'worker' needs no_such_package" in outcome.err
    assert "pip install 'guildbus[torch]'" in outcome.err


@pytest.mark.parametrize(
    ("bus", "text"),
    [
        ("redis://127.0.0.1:1", "no server answers at redis://127.0.0.1:1"),
        ("redis://:hush@127.0.0.1:1", "redis://:***@127.0.0.1:1"),
        ("carrier-pigeon://", "'carrier-pigeon' is not a bus: use memory://, embedded"),
    ],
)
@pytest.mark.parametrize("command", ["run", "request", "publish", "tap", "agents", "topics"])
def test_no_server_is_5_with_the_remedy(
    run: Run, private: Path, command: str, bus: str, text: str
) -> None:
    words = ["crew.work"] if command in ("request", "publish") else []

    outcome = run(command, private, *words, "--bus", bus)

    assert outcome.code == 5
    assert text in outcome.err
    assert "hush" not in outcome.err


def test_a_server_that_is_too_old_is_5_with_the_remedy(run: Run, tmp_path: Path) -> None:
    with running_redis_5() as url:
        spec = written(tmp_path, SPEC.format(bus=url))
        ran, looked_at = run("run", spec), run("doctor", spec)

    refusal = f"the server at {url} is Redis 5.0"
    remedy = "guildbus needs Redis 6.2 or later, or Valkey: upgrade it"
    assert ran.code == 5
    assert refusal in ran.err
    assert remedy in ran.err
    assert looked_at.code == 1
    assert refusal in looked_at.out
    assert remedy in looked_at.out


def test_the_bus_may_come_from_the_environment(
    run: Run, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUILDBUS_BUS", "redis://127.0.0.1:1")

    assert run("agents", private).code == 5


def test_a_setting_that_does_not_fit_is_a_usage_error(
    run: Run, private: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUILDBUS_LOG__LEVEL", "loud")

    outcome = run("run", private, "--request", "crew.work")

    assert outcome.code == 2
    assert "'level' should be" in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["run"],
        ["run", "hello", "name=Ada"],
        ["run", "hello", "--log-level", "loud"],
        ["graph", "hello", "--format", "png"],
        ["schema", "hello"],
        ["schema", "--message", "Greet"],
        ["tap", "hello", "--count", "0"],
    ],
)
def test_words_that_do_not_fit_are_2_and_start_nothing(run: Run, words: list[str]) -> None:
    outcome = run(*words)

    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err


def test_a_request_that_takes_too_long_is_6(run: Run, private: Path) -> None:
    words = ["--request", "crew.work", "is_endless=true", "--timeout", "0.2"]

    assert run("run", private, *words).code == 6


def test_the_wiring_is_drawn_as_text(run: Run) -> None:
    assert run("graph", "hello").out.splitlines() == [
        "outside -> greeter: hello.greet",
        "greeter -> outside: hello.greeting",
        "greeter -> counter: hello.count_words",
    ]


def test_the_wiring_is_drawn_as_mermaid_and_json(run: Run) -> None:
    mermaid = run("graph", "hello", "--format", "mermaid").out
    document = json.loads(run("graph", "hello", "--format", "json").out)
    (line,) = run("graph", "hello", "--json").documents()

    assert mermaid.startswith('flowchart LR\n    n0(["outside"])')
    assert 'n1 -->|"hello.count_words"| n2' in mermaid
    assert [node["id"] for node in document["nodes"]] == ["greeter", "counter"]
    assert document["edges"][0]["message"] == "hello.greet"
    assert line == document


@pytest.mark.parametrize("name", SHIPPED)
def test_the_wiring_of_every_shipped_guild_is_drawn_as_svg(run: Run, name: str) -> None:
    root = ET.fromstring(run("graph", name, "--format", "svg").out)

    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_a_schema_is_one_line_of_json_where_json_is_wanted(run: Run) -> None:
    (of_specs,) = run("schema", "--json").documents()
    (of_message,) = run("schema", "hello", "--message", "hello.greet", "--json").documents()

    assert of_specs == json.loads(run("schema").out)
    assert of_message["required"] == ["name"]


def test_schemas_are_printed_for_specs_and_for_messages(run: Run) -> None:
    of_specs = json.loads(run("schema").out)
    of_message = json.loads(run("schema", "hello", "--message", "hello.greet").out)

    assert of_specs["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert of_message["required"] == ["name"]


def test_installed_agent_types_are_listed(run: Run) -> None:
    types = {row["type"]: row["class"] for row in run("agents", "--json").documents()}

    assert types["hello.greeter"] == "agents.hello:Greeter"
    assert "llm.phi" in types


def test_the_doctor_finds_a_server_that_works(run: Run, start: Start) -> None:
    out, _ = start("doctor", "--json").communicate(timeout=100)  # with the log as people have it
    findings = {each["subject"]: each["state"] for each in map(json.loads, out.splitlines())}

    assert findings["python"] == findings["guildbus"] == findings["server"] == "ok"
    assert "ok server" in run("doctor").out


def test_the_doctor_fails_when_the_bus_that_was_asked_for_is_away(run: Run) -> None:
    outcome = run("doctor", "--bus", "redis://:hush@127.0.0.1:1", "--json")

    assert outcome.code == 1
    last = outcome.documents()[-1]
    assert (last["subject"], last["state"]) == ("bus", "failed")
    assert "hush" not in outcome.out


def test_the_doctor_tells_what_is_odd_about_the_bus_of_a_guild(run: Run, tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory", "1", "--appendonly", "no") as server:
        outcome = run("doctor", "hello", "--bus", server.url, "--json")

    last = outcome.documents()[-1]
    assert (outcome.code, last["state"]) == (1, "failed")
    assert f"the server at {server.url} is out of memory" in last["text"]
    assert "no append-only file" in last["text"]


def test_the_version_is_printed(run: Run) -> None:
    assert run("--version").out.startswith("guildbus 0.")


@pytest.mark.parametrize("words", [["--help"], ["run", "-h"], ["dead-letters", "--help"]])
def test_help_is_data(run: Run, words: list[str]) -> None:
    outcome = run(*words)

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("Usage: ")


def test_the_place_of_a_bus_is_told_without_its_password() -> None:
    call = Call(Common(bus="redis://me:hush@127.0.0.1:1/0"))

    assert call.bus == "redis://me:hush@127.0.0.1:1/0"
    assert call.place == "redis://me:***@127.0.0.1:1/0"


def test_a_message_may_name_the_conversation_it_is_asked_in() -> None:
    class Named(Message):
        name: str

        @property
        def conversation(self) -> str:
            return self.name * 32

    class Filled(Message):
        conversation: str

    assert conversation_of(Named(name="a")) == "a" * 32
    assert conversation_of(Filled(conversation="a field like others")) == ""


def test_a_line_is_shown_letter_by_letter(capsys: pytest.CaptureFixture[str]) -> None:
    Output().error("the key {crew}:b:worker [bold]")

    assert capsys.readouterr().err == "the key {crew}:b:worker [bold]\n"
