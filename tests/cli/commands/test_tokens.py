"""`guildbus tokens`: the file of those who may call."""

from pathlib import Path

import pytest

from guild.gateway.tokens import TokenFile
from tests.cli.conftest import Run


def test_a_token_is_printed_once_and_listed_without_it(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens"

    added = run("tokens", "add", "ada", "--scope", "read,publish", "--file", file)
    run("tokens", "add", "bob", "--scope", "operate", "--scope", "approve", "--file", file)
    listed = run("tokens", "list", "--file", file, "--json")
    removed = run("tokens", "remove", "ada", "--file", file)

    assert added.code == removed.code == 0
    assert "shown this once" in added.err
    assert listed.documents() == [
        {"name": "ada", "scopes": ["read", "publish"]},
        {"name": "bob", "scopes": ["operate", "approve"]},
    ]
    assert TokenFile(file).find(added.out.strip()) is None
    assert added.out.strip() not in file.read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["add", "ada", "--scope", "raed"], 2, "no scope 'raed'; did you mean 'read'?"),
        (["add", "a b", "--scope", "read"], 2, "a token's name has 1 to 64 letters"),
        (["remove", "ada"], 1, "cannot read the tokens in"),
        (["list"], 1, "cannot read the tokens in"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    run: Run, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    outcome = run("tokens", *words, "--file", tmp_path / "tokens")

    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_name_that_is_taken_or_not_there_is_a_matter_of_usage(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    run("tokens", "add", "ada", "--scope", "read", "--file", file)

    again = run("tokens", "add", "ada", "--scope", "read", "--file", file)
    absent = run("tokens", "remove", "adda", "--file", file)

    assert (again.code, absent.code) == (2, 2)
    assert "has a token 'ada': remove it first, or give this one another name" in again.err
    assert "did you mean 'ada'?" in absent.err
