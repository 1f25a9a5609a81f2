"""References to environment variables and secrets."""

import re
from pathlib import Path

import pytest

from guild.errors import UnresolvedReferenceError
from guild.spec.references import MAX_SECRET_BYTES, resolve, resolve_gently

ENVIRON = {"HOST": "db", "EMPTY": "", "TOKEN": "s3cret"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOST}", "db"),
        ("redis://${HOST}:6379", "redis://db:6379"),
        ("${NOPE:-a:-b}", "a:-b"),
        ("${NOPE:-}", ""),
        ("${EMPTY:-default}", "default"),
        ("${HOST:-x}${HOST}", "dbdb"),
        ("${env:TOKEN}", "s3cret"),
        ("$${HOST}", "${HOST}"),
        ("$HOST", "$HOST"),
        ("100 $", "100 $"),
        (3, 3),
        ({"a": ["${HOST}", None]}, {"a": ["db", None]}),
    ],
)
def test_references_are_replaced(text: object, value: object) -> None:
    assert resolve(text, environ=ENVIRON) == value


@pytest.mark.parametrize("text", ["${NOPE}", "${}", "${a b}", "${HOST", "${env:NOPE}", "${1A}"])
def test_a_reference_that_leads_nowhere_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(UnresolvedReferenceError, match=r"^a\[0\]: "):
        resolve([text], environ=ENVIRON, path=("a",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("${EMPTY}", r"variable EMPTY is empty; where that is meant write \$\{EMPTY:-\}"),
        ("${NOPE}", "variable NOPE is not set and has no default"),
        ("${NOPE:-${HOST}}", r"the default of \$\{NOPE\} holds a reference"),
        ("${NOPE:?must}", r"\$\{NOPE:\?must\} is not a reference: write"),
    ],
)
def test_what_other_tools_take_is_refused_with_what_is_written_here(text: str, told: str) -> None:
    with pytest.raises(UnresolvedReferenceError, match=told):
        resolve(text, environ=ENVIRON)


def test_what_a_variable_holds_is_not_looked_into() -> None:
    assert resolve("${A}", environ={"A": "${B}", "B": "x"}) == "${B}"


def test_secrets_stay_references_until_they_are_asked_for() -> None:
    seen = resolve_gently({"a": "${env:NOPE}", "b": "${HOST}"}, environ=ENVIRON)

    assert seen.value == {"a": "${env:NOPE}", "b": "db"}
    assert seen.secret_paths == {("a",)}
    assert seen.findings == ()


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret\n")

    assert resolve(f"${{file:{tmp_path}/token}}") == "s3cret"


def test_a_secret_file_that_is_away_or_too_long_is_told_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("s" * (MAX_SECRET_BYTES + 1))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")

    for name, text in (("none", "No such file"), ("long", "too long"), ("bytes", "UTF-8")):
        with pytest.raises(UnresolvedReferenceError, match=text) as caught:
            resolve(f"${{file:{tmp_path / name}}}")
        assert "ssss" not in str(caught.value)


def test_a_file_that_no_system_has_and_a_variable_without_text_are_told_as_such() -> None:
    for text, told in (
        ("${file:/a\0b}", "the secret file /a\0b: embedded null byte"),
        ("${EMPTY}", "variable EMPTY is empty; where that is meant write ${EMPTY:-}"),
    ):
        with pytest.raises(UnresolvedReferenceError, match=re.escape(told)):
            resolve(text, environ=ENVIRON)
