"""The file of tokens."""

import multiprocessing
import os
from pathlib import Path

import pytest

from guild.gateway.callers import Scope
from guild.gateway.errors import TokenFileError
from guild.gateway.tokens import TokenFile, add_token, read_tokens, remove_token


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tokens"


def later(file: Path) -> None:
    """Let the file be newer than it was, whatever the clock of the file system can tell apart."""
    state = file.stat()
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


def test_a_token_is_found_by_itself_and_stands_in_no_file(file: Path) -> None:
    secret = add_token(file, "ada", ["read", "publish"])
    tokens = TokenFile(file)

    caller = tokens.find(secret)

    assert caller is not None
    assert (caller.name, caller.scopes) == ("ada", {Scope.READ, Scope.PUBLISH})
    assert secret not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert tokens.warning == ""
    for wrong in ("", secret[:-1], secret + "x", secret.upper(), "\udcff", "ada"):
        assert tokens.find(wrong) is None


def test_a_file_that_changes_is_read_again(file: Path) -> None:
    ada = add_token(file, "ada", ["read"])
    tokens = TokenFile(file)
    bob = add_token(file, "bob", ["operate"])

    assert (found := tokens.find(bob)) is not None
    assert found.name == "bob"
    remove_token(file, "ada")
    assert tokens.find(ada) is None
    assert tokens.find(bob) is not None


def test_a_line_that_was_spoilt_lets_nobody_in_and_the_others_hold(file: Path) -> None:
    ada, bob = add_token(file, "ada", ["read"]), add_token(file, "bob", ["read"])
    tokens = TokenFile(file)

    file.write_text(file.read_text().replace("ada read", "ada raed"))
    later(file)

    assert tokens.find(ada) is None
    assert tokens.find(bob) is not None


def test_a_file_that_is_gone_lets_nobody_in(file: Path) -> None:
    ada = add_token(file, "ada", ["read"])
    tokens = TokenFile(file)
    kept = file.read_text()

    file.unlink()
    assert tokens.find(ada) is None
    file.write_text(kept)
    assert tokens.find(ada) is not None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_that_was_saved_on_another_system_is_read(
    file: Path, encoding: str, end: str
) -> None:
    ada = add_token(file, "ada", ["read"])
    file.write_bytes(file.read_text().replace("\n", end).encode(encoding))
    before = TokenFile(file).find(ada)
    bob = add_token(file, "bob", ["read"])
    tokens = TokenFile(file)

    assert before is not None
    assert (tokens.find(ada), tokens.find(bob)) == (before, before._replace(name="bob"))


def test_what_people_write_between_is_kept(file: Path) -> None:
    file.write_text("# of the team\n\n")
    add_token(file, "ada", ["read"])
    add_token(file, "bob", ["read"])
    remove_token(file, "ada")

    assert file.read_text().startswith("# of the team\n\nbob read sha256:")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ada read", "a line is NAME SCOPE[,SCOPE] sha256:HEX"),
        ("ada raed sha256:" + "0" * 64, "no scope 'raed'; did you mean 'read'?"),
        ("ada , sha256:" + "0" * 64, "a token needs a scope"),
        ("ada read sha256:xyz", "ada: sha256: and 64 hex digits are wanted"),
        ("a/b read sha256:" + "0" * 64, "'a/b' is no name"),
        ("ada read gb_secret", "64 hex digits are wanted"),
    ],
)
def test_a_line_that_is_none_is_told_with_its_place(file: Path, line: str, problem: str) -> None:
    file.write_text(f"# comment\n{line}\n")

    with pytest.raises(TokenFileError) as told:
        TokenFile(file)

    assert str(told.value).startswith(f"{file}:2: ")
    assert problem in str(told.value)
    assert "gb_secret" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "scope", "problem"),
    [
        ("a b", "read", "a token's name has 1 to 64 letters"),
        ("", "read", "a token's name has"),
        ("x" * 65, "read", "a token's name has"),
        ("ada", "everything", "no scope 'everything'; there are: read, publish, operate, approve"),
        ("ada", "", "a token needs a scope"),
        ("taken", "read", "has a token 'taken': remove it first"),
    ],
)
def test_a_token_that_cannot_be_is_not_made(
    file: Path, name: str, scope: str, problem: str
) -> None:
    add_token(file, "taken", ["read"])
    before = file.read_text()

    with pytest.raises(TokenFileError, match=problem.replace("'", ".")):
        add_token(file, name, [scope])

    assert file.read_text() == before


def test_files_that_cannot_be_used_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TokenFileError, match=r"cannot read the tokens in .*none: No such file"):
        TokenFile(tmp_path / "none")
    with pytest.raises(TokenFileError, match=r"cannot write .*: No such file"):
        add_token(tmp_path / "no" / "file", "ada", ["read"])
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(TokenFileError, match="it is no UTF-8"):
        TokenFile(tmp_path / "binary")
    add_token(tmp_path / "file", "ada", ["read"])
    with pytest.raises(TokenFileError, match=r"has no token .adda.; did you mean .ada.\?"):
        remove_token(tmp_path / "file", "adda")


def test_a_file_that_others_can_read_is_warned_of(file: Path) -> None:
    add_token(file, "ada", ["read"])
    file.chmod(0o644)

    assert f"chmod 600 {file}" in TokenFile(file).warning


def add_several(file: Path, first: int) -> None:
    for number in range(first, first + 10):
        add_token(file, f"n{number}", ["read"])


def test_tokens_that_are_added_at_once_are_all_there(file: Path) -> None:
    several = multiprocessing.get_context("spawn")
    processes = [several.Process(target=add_several, args=(file, n * 10)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert {token.caller.name for token in read_tokens(file)} == {f"n{n}" for n in range(30)}


def test_a_file_that_becomes_something_else_lets_nobody_in_and_is_not_waited_for(
    file: Path,
) -> None:
    ada = add_token(file, "ada", ["read"])
    tokens = TokenFile(file)

    file.unlink()
    os.mkfifo(file)
    with pytest.raises(TokenFileError, match="it is no regular file"):
        TokenFile(file)
    assert tokens.find(ada) is None
    file.unlink()
    file.mkdir()
    assert tokens.find(ada) is None
