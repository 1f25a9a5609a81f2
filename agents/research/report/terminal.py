"""A finished run on the terminal."""

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agents.research.report.document import (
    LEADERBOARD_COLUMNS,
    LEADERBOARD_NUMBERS,
    leaderboard_row,
)
from agents.research.report.wording import decimal, duration, percent

if TYPE_CHECKING:
    from agents.research.study import ResearchReport


def render(report: "ResearchReport") -> RenderableType:
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


def _leaderboard(report: "ResearchReport") -> Table:
    table = Table(title=f"Leaderboard of run {report.name}", title_justify="left")
    for index, column in enumerate(LEADERBOARD_COLUMNS):
        table.add_column(column, justify="right" if index in LEADERBOARD_NUMBERS else "left")
    for standing in report.leaderboard:
        style = {"trained": "bold green", "failed": "red"}.get(standing.outcome, "")
        table.add_row(*map(Text, leaderboard_row(standing)), style=style)
    return table


def _headlines(report: "ResearchReport") -> Text:
    lines = [f"finished in {duration(report.seconds)}"]
    if report.test is not None:
        lines.append(
            f"held-out test: accuracy {percent(report.test.accuracy)}, "
            f"F1 {decimal(report.test.f1)} on {report.test.samples} images"
        )
    if report.bits_per_byte is not None:
        lines.append(f"language model: {decimal(report.bits_per_byte)} bits per byte")
    return Text("\n".join(lines))
