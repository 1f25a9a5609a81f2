"""Shows what a request emits while it is worked on: bars on a terminal, lines elsewhere."""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from pydantic import BaseModel
from pydantic_core import to_json
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Column
from rich.text import Text

from guild.cli.printing.output import printable
from guild.progress import Measured, Progress, TextDelta
from messaging.wire.message import WireType, wire_type_of
from messaging.wire.replies import UnknownMessage

LINE_EVERY_S = 5.0


class Watch:
    """A view of emitted items on stderr, open between `with` and its end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view: _BarView | _LineView = (
            _BarView(console) if console.is_terminal else _LineView(console)
        )

    def __enter__(self) -> Self:
        self._view.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._view.stop()

    def show(self, item: BaseModel) -> None:
        """Show one emitted item; anything but progress and text as its type and its JSON.

        Figures are for curves; the progress that comes with them tells the latest in words.
        """
        if isinstance(item, Measured):
            return
        if isinstance(item, Progress):
            self._view.progress(item)
        elif isinstance(item, TextDelta):
            self._view.text(printable(item.text))
        else:
            name, data = wire_type_of(type(item)), item.model_dump_json(by_alias=True)
            if isinstance(item, UnknownMessage):
                name, data = WireType(item.type, item.version), to_json(item.data).decode()
            self._view.line(printable(f"{name} {data}"))


class _Bars(RichProgress):
    """Progress bars below the line of text that is not finished yet."""

    unfinished = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        if self.unfinished.strip():
            yield Text(self.unfinished)
        yield from super().get_renderables()


class _BarView:
    """Whole lines of text go above the bars and stay there."""

    def __init__(self, console: Console) -> None:
        self._bars = _Bars(
            TextColumn("[bold]{task.description}", table_column=_cut(max_width=32)),
            BarColumn(bar_width=None, table_column=Column(width=20)),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[text]}", table_column=_cut(ratio=1)),
            console=console,
            expand=True,  # a long text takes what the others leave, and nothing of theirs
        )
        self._tasks: dict[str, TaskID] = {}

    def start(self) -> None:
        self._bars.start()

    def stop(self) -> None:
        self._end_text()
        self._bars.stop()

    def progress(self, item: Progress) -> None:
        text = escape(printable(item.text))
        task = self._tasks.get(item.task)
        if task is None:
            self._end_text()
            name = escape(printable(item.task))
            task = self._tasks[item.task] = self._bars.add_task(name, total=item.total, text=text)
        self._bars.update(task, completed=item.done, total=item.total, text=text)

    def line(self, line: str) -> None:
        self._end_text()
        self._bars.console.print(line, markup=False, highlight=False)

    def text(self, text: str) -> None:
        *lines, self._bars.unfinished = (self._bars.unfinished + text).split("\n")
        for line in lines:
            self._bars.console.print(line, markup=False, highlight=False)

    def _end_text(self) -> None:
        """A text does not say when it ends; the next task does."""
        if self._bars.unfinished.strip():
            line, self._bars.unfinished = self._bars.unfinished, ""
            self._bars.console.print(line, markup=False, highlight=False)


class _LineView:
    """One line at a time, in the order in which things came."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown_at: dict[str, float] = {}
        self._unfinished = ""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self._end_text()

    def progress(self, item: Progress) -> None:
        now = time.monotonic()
        shown_at = self._shown_at.get(item.task)
        if shown_at is not None and not item.is_over and now - shown_at < LINE_EVERY_S:
            return
        self._shown_at[item.task] = now
        self._end_text()
        share = f"{item.done / item.total:4.0%} " if item.total else ""
        self._line(printable(f"{item.task}: {share}{item.text}".rstrip()))

    def line(self, line: str) -> None:
        self._end_text()
        self._line(line)

    def text(self, text: str) -> None:
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._line(line)

    def _end_text(self) -> None:
        """A text does not say when it ends; the next line of anything else does."""
        if self._unfinished.strip():
            line, self._unfinished = self._unfinished, ""
            self._line(line)

    def _line(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False)


def _cut(*, max_width: int | None = None, ratio: int | None = None) -> Column:
    """A column whose texts end in … where they do not fit."""
    return Column(no_wrap=True, overflow="ellipsis", max_width=max_width, ratio=ratio)
