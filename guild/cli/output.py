"""What the CLI prints: data on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table


class Output:
    """One command's way to the terminal.

    With `as_json` stdout carries JSON only, a document a line; without it what a person reads.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
        self.err = Console(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty())

    def json(self, document: Any) -> None:
        """One JSON document on a line of its own."""
        sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()

    def text(self, line: str) -> None:
        """A line of data, exactly as it is."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def show(self, renderable: RenderableType) -> None:
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
    if isinstance(value, Sequence):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)
