"""A finished run on the terminal."""

from collections.abc import Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.research.report.content import HeldOutTest, Standing
from agents.research.report.document import (
    LEADERBOARD_COLUMNS,
    LEADERBOARD_NUMBERS,
    leaderboard_row,
)
from agents.research.report.wording import decimal, duration, percent


class Finished(Protocol):
    """What is shown of a run; `agents.research.study.ResearchReport` has it."""

    @property
    def name(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def leaderboard(self) -> Sequence[Standing]: ...
    @property
    def test(self) -> HeldOutTest | None: ...
    @property
    def bits_per_byte(self) -> float | None: ...
    @property
    def completion(self) -> str: ...
    @property
    def failures(self) -> Sequence[str]: ...
    @property
    def html_path(self) -> str: ...


def render(report: Finished) -> RenderableType:
    """The leaderboard, the headline figures, what failed, and where to read on."""
    parts: list[RenderableType] = []
    if report.leaderboard:
        parts.append(_leaderboard(report))
    parts.append(_headlines(report))
    if report.completion:
        parts.append(Panel(Text(report.completion.rstrip()), title="completion", expand=False))
    parts += [Text(f"failed: {failure}", style="red") for failure in report.failures]
    parts.append(Text.assemble(("report: ", "bold"), report.html_path))
    return Group(*parts)


def _leaderboard(report: Finished) -> Table:
    table = Table(title=f"Leaderboard of run {report.name}", title_justify="left")
    for index, column in enumerate(LEADERBOARD_COLUMNS):
        table.add_column(column, justify="right" if index in LEADERBOARD_NUMBERS else "left")
    for standing in report.leaderboard:
        style = {"trained": "bold green", "failed": "red"}.get(standing.outcome, "")
        table.add_row(*map(Text, leaderboard_row(standing)), style=style)
    return table


def _headlines(report: Finished) -> Text:
    lines = [f"finished in {duration(report.seconds)}"]
    if report.test is not None:
        lines.append(
            f"held-out test: accuracy {percent(report.test.accuracy)}, "
            f"F1 {decimal(report.test.f1)} on {report.test.samples} images"
        )
    if report.bits_per_byte is not None:
        lines.append(f"language model: {decimal(report.bits_per_byte)} bits per byte")
    return Text("\n".join(lines))
