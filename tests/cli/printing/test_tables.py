"""What tables and lines of data look like on a terminal, and what in a pipe."""

import io
import json
import sys

import pytest
from rich.text import Text

from guild.cli.printing.output import LEAST_OF_A_TEXT, MOST_OF_A_TEXT, Output

ROWS = [
    {"id": "1795918817519-0", "topics": ["a", "b"], "error": "E: one\nline\tand more " + "x" * 500},
    {"id": "2", "topics": [], "error": "größer 大きい"},
]


class Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def written(
    monkeypatch: pytest.MonkeyPatch, *columns: str, width: int | None, ends_in_text: bool = True
) -> list[str]:
    """The lines of a table on a terminal of that width, or in a pipe."""
    stream = Stream(is_terminal=width is not None)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("COLUMNS", str(width or 80))
    Output().rows(columns, ROWS, "none", ends_in_text=ends_in_text)
    return stream.getvalue().splitlines()


def test_a_text_ends_where_the_line_of_a_terminal_does(monkeypatch: pytest.MonkeyPatch) -> None:
    head, first, second = written(monkeypatch, "id", "topics", "error", width=60)

    assert head.split() == ["id", "topics", "error"]
    assert first.startswith("1795918817519-0  a, b    E: one line and more xxx")
    assert (len(first), first[-1]) == (60, "…")
    assert second.endswith("größer 大きい")


def test_a_narrow_terminal_is_shown_all_but_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    _, first, _ = written(monkeypatch, "id", "topics", "error", width=10)

    *columns, text = first.split("  ", 2)
    assert columns == ["1795918817519-0", "a, b"]
    assert len(text.strip()) == LEAST_OF_A_TEXT


def test_a_text_in_a_pipe_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    _, first, _ = written(monkeypatch, "id", "error", width=None)

    assert len(first) == len("1795918817519-0  ") + MOST_OF_A_TEXT


@pytest.mark.parametrize("width", [10, None])
def test_names_are_shown_whole_everywhere(
    monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    _, first, _ = written(monkeypatch, "error", "id", width=width, ends_in_text=False)

    assert first.endswith("x" * 500 + "  1795918817519-0")


def test_wide_characters_take_two_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"a": "大きい", "b": "x"}, {"a": "abcdef", "b": "y"}]
    stream = Stream(is_terminal=True)
    monkeypatch.setattr(sys, "stdout", stream)
    Output().rows(("a", "b"), rows, "none")

    assert stream.getvalue().splitlines() == ["a       b", "大きい  x", "abcdef  y"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_line_of_data_commands_no_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    stream = Stream(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stdout", stream)

    Output().text("a\x1b[31m\x9bb")
    Output().json("\x9b")

    assert stream.getvalue() == ('a[31mb\n""\n' if is_terminal else 'a\x1b[31m\x9bb\n"\x9b"\n')


HIDDEN = "a\u202eb\u200bc\U000e0041d\x1b[2J e\u200df"
SEEN = "a\\u202eb\\u200bc\\udb40\\udc41d[2J e\u200df"


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("how", ["line", "rows", "show", "note", "error"])
def test_what_others_wrote_is_shown_as_it_is_however_it_is_printed(
    how: str, is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream(is_terminal=is_terminal)
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    monkeypatch.setenv("NO_COLOR", "1")
    output = Output()

    match how:
        case "line":
            output.line(HIDDEN)
        case "rows":
            output.rows(["text"], [{"text": HIDDEN}], "none")
        case "show":
            output.show(Text(HIDDEN))
        case "note":
            output.note(HIDDEN)
        case "error":
            output.error(HIDDEN)

    assert SEEN in stream.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_data_are_what_they_are_in_a_pipe_and_the_same_json_on_a_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, document = Stream(is_terminal=is_terminal), {"text": HIDDEN.replace("\x1b", "")}
    monkeypatch.setattr(sys, "stdout", stream)

    Output(as_json=True).json(document)

    assert json.loads(stream.getvalue()) == document
    assert ("\u202e" in stream.getvalue()) is not is_terminal


def test_a_line_is_one_line_whatever_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(is_terminal=True)
    monkeypatch.setattr(sys, "stdout", stream)

    Output().line("failed\n12:00 worker: done")

    assert stream.getvalue() == "failed 12:00 worker: done\n"
