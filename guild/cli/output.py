"""What the CLI prints: data on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # rich is imported when there is something to draw
    from rich.console import Console, RenderableType

MOST_NAMES = 20

_PIPE_WIDTH = 10_000
_COMMANDS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n"), ord("\t")})


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
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()

    def text(self, line: str) -> None:
        """A line of data, exactly as it is."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def show(self, renderable: "RenderableType") -> None:
        self.out.print(renderable)

    def note(self, line: str) -> None:
        """A line for the person watching, not part of the data; lost where nothing reads it."""
        with suppress(OSError):
            sys.stderr.write(printable(line) + "\n")
            sys.stderr.flush()

    def error(self, line: str) -> None:
        with suppress(OSError):
            self.err.print(printable(line), style="red", markup=False, soft_wrap=True)

    def rows(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], empty: str) -> None:
        """Rows as a table, or as one JSON document each; `empty` says that there are none."""
        if self.as_json:
            for row in rows:
                self.json(dict(row))
            return
        lines = [[printable(_cell(row[column])) for column in columns] for row in rows]
        if not lines:
            self.note(empty)
        elif sys.stdout.isatty():
            self._draw(columns, lines)
        else:
            self._write(columns, lines)

    def _draw(self, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """A table for a terminal, whose last column folds."""
        from rich.table import Table  # noqa: PLC0415 - see above
        from rich.text import Text  # noqa: PLC0415 - see above

        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in columns:
            table.add_column(column, no_wrap=column != columns[-1], overflow="fold")
        for line in lines:
            table.add_row(*map(Text, line))
        self.show(table)

    def _write(self, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """A table for a pipe or a file: a row a line, however long, and a hundred thousand rows."""
        flat = [columns, *([cell.replace("\n", " ") for cell in line] for line in lines)]
        widths = [max(map(len, column)) for column in zip(*flat, strict=True)]
        for line in flat:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            sys.stdout.write("  ".join(cells).rstrip() + "\n")


def some_of(names: Sequence[str]) -> str:
    """Names in a sentence, however many there are."""
    left = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {left:,} more" if left > 0 else "")


def printable(text: str) -> str:
    """`text` without what would command a terminal; models and messages write what they like."""
    return text.translate(_COMMANDS)


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
