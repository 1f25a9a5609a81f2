"""What the CLI prints: data on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:  # rich is imported when there is something to draw
    from rich.console import Console, RenderableType


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
        """A line for the person watching, not part of the data."""
        self.err.print(line, markup=False)

    def error(self, line: str) -> None:
        self.err.print(line, style="red", markup=False)

    def rows(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]], empty: str) -> None:
        """Rows as a table, or as one JSON document each; `empty` says that there are none."""
        if self.as_json:
            for row in rows:
                self.json(dict(row))
            return
        from rich.table import Table  # noqa: PLC0415 - see above

        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*(_cell(row[column]) for column in columns))
        if table.row_count:
            self.show(table)
        else:
            self.note(empty)


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

    return Console(file=stream, highlight=False, soft_wrap=not stream.isatty())
