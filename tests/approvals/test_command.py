"""`guildbus approvals`, on a guild that runs in another process."""

import getpass
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ROOT, Run, run, settings, started, until
from tests.servers import embedded_binary

__all__ = ["run", "settings"]  # fixtures

SPEC = """
id: shop
bus: embedded:{bus}
drain_s: 0.2
agents:
  - {{id: desk, type: approvals.desk, topics: [approvals]}}
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    embedded_binary()
    folder = tmp_path_factory.mktemp("shop")
    path = folder / "shop.yaml"
    path.write_text(SPEC.format(bus=folder / "bus"))
    guild = started("run", path, cwd=ROOT)
    until(guild.stderr, "is running")
    yield path
    guild.terminate()
    guild.communicate()


@pytest.fixture
def asked(run: Run, spec: Path) -> dict[str, Any]:
    """An approval that is open."""
    return ask(run, spec, "what=Spend 3 EUR", "why=tea is out", 'options:=["small","large"]')


def ask(run: Run, spec: Path, *words: str) -> dict[str, Any]:
    before = {row["id"] for row in run("approvals", "list", spec, "--json").documents()}
    assert run("publish", spec, "guild.approval_request", *words).code == 0
    while True:
        rows = run("approvals", "list", spec, "--json").documents()
        if new := [row for row in rows if row["id"] not in before]:
            return new[0]


def test_the_list_shows_what_is_to_be_decided(run: Run, spec: Path, asked: dict[str, Any]) -> None:
    listed = run("approvals", "list", spec)

    head, *lines = listed.out.splitlines()
    assert head.split() == ["id", "state", "asked", "deadline", "default", "asker", "what"]
    (line,) = [line for line in lines if line.startswith(asked["id"])]
    assert line.endswith("reject   a client  Spend 3 EUR")
    assert asked["state"] == "open"
    assert asked["request"]["options"] == ["small", "large"]


def test_one_is_shown_with_how_to_decide_it(run: Run, spec: Path, asked: dict[str, Any]) -> None:
    shown = run("approvals", "show", spec, asked["id"])

    assert "what         Spend 3 EUR\nwhy          tea is out\n" in shown.out
    assert "options      small, large\n" in shown.out
    assert f"guildbus approvals approve {spec} {asked['id']} --option" in shown.err
    (document,) = run("approvals", "show", spec, asked["id"], "--json").documents()
    assert document == asked


def test_approving_names_the_user_of_the_machine(
    run: Run, spec: Path, asked: dict[str, Any]
) -> None:
    done = run("approvals", "approve", spec, asked["id"], "--option", "small", "--reason", "fine")

    assert (done.code, done.out) == (0, "")
    me = getpass.getuser()
    assert f"approved {asked['id']} with small, as {me}: Spend 3 EUR" in done.err
    (shown,) = run("approvals", "show", spec, asked["id"], "--json").documents()
    assert (shown["state"], shown["decision"]["by"]) == ("approved", me)
    decided = run("approvals", "list", spec, "--decided", "--json").documents()
    assert asked["id"] in [row["id"] for row in decided]
    open_now = run("approvals", "list", spec, "--json").documents()
    assert asked["id"] not in [row["id"] for row in open_now]


def test_rejecting_tells_its_decision_as_json(run: Run, spec: Path, asked: dict[str, Any]) -> None:
    done = run(
        *("approvals", "reject", spec, asked["id"]),
        *("--by", "ada", "--reason", "too dear", "--json"),
    )

    (decision,) = done.documents()
    assert (decision["approved"], decision["by"], decision["reason"]) == (False, "ada", "too dear")


def test_deciding_twice_fails_with_who_was_first(
    run: Run, spec: Path, asked: dict[str, Any]
) -> None:
    run("approvals", "reject", spec, asked["id"], "--by", "ada", "--reason", "too dear")

    again = run("approvals", "approve", spec, asked["id"], "--option", "small")

    assert again.code == 1
    assert f"{asked['id']} was rejected by ada at" in again.err
    assert "too dear" in again.err


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("0" * 32,), 1, "there is no approval"),
        (("0" * 32, "--by", " "), 2, "--by is empty"),
    ],
)
def test_what_cannot_be_decided_is_refused(
    run: Run, spec: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    refused = run("approvals", "reject", spec, *words)

    assert refused.code == code
    assert text in refused.err
    assert (f"guildbus approvals list {spec} --all" in refused.err) is (code == 1)


def test_text_that_would_be_shown_turned_around_or_not_at_all_is_told(run: Run, spec: Path) -> None:
    hostile = "Pay <b>1</b> EUR \u202e000,1\u2066 to\u200b me \x1b[2J"
    approval = ask(run, spec, f"what={hostile}", f"why={hostile}", 'details:={"x": "\u202e"}')

    shown = run("approvals", "show", spec, approval["id"]).out
    listed = run("approvals", "list", spec).out

    for text in (shown, listed):
        assert r"Pay <b>1</b> EUR \u202e000,1\u2066 to\u200b me" in text
        assert not set(text) & set("\u202e\u2066\u200b")
    assert r'{"x": "\u202e"}' in shown


def test_a_reason_of_several_lines_cannot_be_taken_for_other_facts(run: Run, spec: Path) -> None:
    approval = ask(run, spec, "what=Pay", "why=tea\nasker        the owner")

    shown = run("approvals", "show", spec, approval["id"]).out

    assert "\nwhy          tea\n             asker        the owner\n" in shown


def test_a_decision_while_no_desk_runs_is_warned_of_and_stays(run: Run, tmp_path: Path) -> None:
    embedded_binary()
    spec = tmp_path / "shop.yaml"
    spec.write_text(SPEC.format(bus=tmp_path / "bus"))
    guild = started("run", spec, cwd=ROOT)
    until(guild.stderr, "is running")
    asked = ask(run, spec, "what=Spend 3 EUR")
    guild.terminate()
    guild.communicate()

    early = run("approvals", "approve", spec, asked["id"], "--by", "ada", "--timeout", "0.1")

    assert (early.code, early.out) == (6, "")
    assert (
        f"desk is not running, and takes the decision when it is: guildbus run {spec}" in early.err
    )
    assert "the decision stays" in early.err
    guild = started("run", spec, cwd=ROOT)
    until(guild.stderr, "is running")
    while (shown := run("approvals", "show", spec, asked["id"], "--json").documents()[0])[
        "decision"
    ] is None:
        pass
    assert (shown["state"], shown["decision"]["by"]) == ("approved", "ada")
    guild.terminate()
    guild.communicate()


def test_a_guild_without_a_desk_is_told_what_to_add(run: Run, spec: Path, tmp_path: Path) -> None:
    bus = spec.parent / "bus"
    other = tmp_path / "other.yaml"
    other.write_text(f"id: other\nbus: embedded:{bus}\nagents: []\n")

    refused = run("approvals", "list", other)

    assert refused.code == 1
    assert "approvals.desk" in refused.err


def test_help_imports_no_guild(tmp_path: Path) -> None:
    code = (
        "import sys; import agents.approvals.commands as c; "
        "print([m for m in sys.modules if m in ('pydantic', 'guild.client', 'guild.deciding')])"
    )

    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
    )

    assert told.stdout.strip() == "[]"
