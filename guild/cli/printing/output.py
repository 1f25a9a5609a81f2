"""What the CLI prints: data on stdout, everything else on stderr."""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # rich is imported when there is something to draw
    from rich.console import Console, RenderableType

MOST_NAMES = 20
MOST_OF_A_TEXT, LEAST_OF_A_TEXT = 200, 20

_PIPE_WIDTH = 10_000
_COMMANDS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})
# What hides, or turns the text round that stands beside it, and half characters. Those that join
# letters of scripts and emoji (U+200C, U+200D) hide nothing.
_UNSEEN = re.compile(
    "[\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)


class Output:
    """One command's way to the terminal.

    With `as_json` stdout carries JSON only, a document a line; without it what a person reads.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    @cached_property
    def out(self) -> "Console":
        return _console(sys.stdout)

    @cached_property
    def err(self) -> "Console":
        return _console(sys.stderr)

    def json(self, document: Any) -> None:
        """One JSON document on a line of its own."""
        self.text(json.dumps(document, ensure_ascii=False, default=str))

    def line(self, line: str) -> None:
        """One line for people, wherever they read it, with what others wrote in it."""
        sys.stdout.write(_on_one_line(line) + "\n")
        sys.stdout.flush()

    def text(self, line: str) -> None:
        """A line of data, exactly as it is; a terminal gets it as `printable`."""
        sys.stdout.write((printable(line) if sys.stdout.isatty() else line) + "\n")
        sys.stdout.flush()

    def show(self, renderable: "RenderableType") -> None:
        """Anything that rich draws; what others wrote in it is `printable`."""
        from rich.segment import Segment, Segments  # noqa: PLC0415 - see above

        drawn = (
            part if part.control else Segment(printable(part.text), part.style)
            for part in self.out.render(renderable)
        )
        self.out.print(Segments(drawn), end="", crop=False)

    def note(self, line: str) -> None:
        """A line for the person watching, not part of the data; lost where nothing reads it."""
        with suppress(OSError):
            sys.stderr.write(printable(line) + "\n")
            sys.stderr.flush()

    def error(self, line: str) -> None:
        with suppress(OSError):
            self.err.print(printable(line), style="red", markup=False, soft_wrap=True)

    def rows(
        self,
        columns: Sequence[str],
        rows: Iterable[Mapping[str, Any]],
        empty: str,
        *,
        ends_in_text: bool = False,
    ) -> None:
        """Rows as a table, a line each, or as one JSON document each.

        Args:
            columns: what a table shows of each row.
            rows: a document has all of it.
            empty: says that there are none.
            ends_in_text: a table shows no more of the last column than fits. Of any other column
                it shows all: what is longer than a terminal's line goes on in the next.
        """
        if self.as_json:
            for row in rows:
                self.json(dict(row))
            return
        lines = [[_on_one_line(_cell(row[column])) for column in columns] for row in rows]
        if not lines:
            self.note(empty)
            return
        table = [columns, *lines]
        widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
        most = _room_beside(widths[:-1]) if ends_in_text else None
        for *cells, last in table:
            padded = [
                cell + " " * (width - _width(cell))
                for cell, width in zip(cells, widths, strict=False)
            ]
            sys.stdout.write("  ".join([*padded, _cut(last, most)]).rstrip() + "\n")


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence, however many there are."""
    left = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {left:,} more" if left > 0 else "")


def printable(text: str) -> str:
    """`text` as a person may see it; models and messages write what they like.

    What would command a terminal is left out. What is not seen, or shows the text beside it turned
    round, is told by its number, as JSON does.
    """
    text = text.translate(_COMMANDS)
    return text if text.isascii() else _UNSEEN.sub(lambda odd: json.dumps(odd[0])[1:-1], text)


def _on_one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - see above

    return cell_len(text)


def _room_beside(widths: Sequence[int]) -> int:
    """How much of a text fits on a line behind columns of these widths."""
    if not sys.stdout.isatty():
        return MOST_OF_A_TEXT
    left = shutil.get_terminal_size().columns - sum(widths) - 2 * len(widths)
    return max(LEAST_OF_A_TEXT, left)


def _cut(text: str, most: int | None) -> str:
    if most is None or _width(text) <= most:
        return text
    while _width(text) >= most:
        text = text[: most - 1] if len(text) >= most else text[:-1]
    return text + "…"


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    if isinstance(value, Sequence):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console  # noqa: PLC0415 - see above

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # as any other write does; rich would end the process with 1

    # Only people have a width; whoever reads a pipe gets each row on one line.
    width = None if stream.isatty() else _PIPE_WIDTH
    return Pipe(file=stream, highlight=False, emoji=False, width=width, soft_wrap=width is not None)
