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
    ("words", "said"),
    [
        (["add", "ada", "--scope", "raed"], "no scope 'raed'; did you mean 'read'?"),
        (["add", "a b", "--scope", "read"], "a token's name has 1 to 64 letters"),
        (["remove", "ada"], "cannot read the tokens in"),
        (["list"], "cannot read the tokens in"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(
    run: Run, tmp_path: Path, words: list[str], said: str
) -> None:
    outcome = run("tokens", *words, "--file", tmp_path / "tokens")

    assert (outcome.code, outcome.out) == (1, "")
    assert said in outcome.err
    assert outcome.err.count("\n") == 1
