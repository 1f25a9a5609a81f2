"""A finished study on the terminal."""

from collections.abc import Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agents.research.report.wording import decimal, duration, percent, scaled
from agents.research.researcher.finding import Finding, TestScore

_COLUMNS = ("", "what", "by", "accuracy on the folds", "folds", "loss", "parameters", "CPU time")
_NUMBERS = frozenset({3, 4, 5, 6, 7})
_MOST_ROWS = 12
_WHAT_CHARS = 60
_SHOWN_FAILURES = 5


class Finished(Protocol):
    """What is shown of a study; a `StudyReport` has it."""

    @property
    def name(self) -> str: ...
    @property
    def chosen(self) -> str: ...
    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def tests(self) -> Sequence[TestScore]: ...
    @property
    def verdict(self) -> str: ...
    @property
    def trials(self) -> int: ...
    @property
    def failures(self) -> Sequence[str]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def html_path(self) -> str: ...


def render(report: Finished) -> RenderableType:
    """What was found, how sure that is, what failed, and where to read on."""
    parts: list[RenderableType] = [_findings(report), Text(report.verdict, style="bold")]
    for test in report.tests:
        chosen = " (chosen)" if test.name == report.chosen else ""
        told = f"held-out test: {test.name}{chosen} {percent(test.accuracy)} of {test.samples}"
        parts.append(Text(told, style="green" if chosen else ""))
    parts.append(Text(f"{report.trials} trials in {duration(report.seconds)}"))
    shown = report.failures[:_SHOWN_FAILURES]
    parts += [Text(f"failed: {failure[:300]}", style="red") for failure in shown]
    if len(report.failures) > len(shown):
        parts.append(Text(f"and {len(report.failures) - len(shown)} more failed", style="red"))
    parts.append(Text.assemble(("report: ", "bold"), report.html_path))
    return Group(*parts)


def _findings(report: Finished) -> Table:
    table = Table(title=f"Study {report.name}", title_justify="left")
    for index, column in enumerate(_COLUMNS):
        table.add_column(column, justify="right" if index in _NUMBERS else "left")
    for finding in report.findings[:_MOST_ROWS]:
        style = "bold green" if finding.name == report.chosen else ""
        table.add_row(*map(Text, _row(finding)), style=style)
    return table


def _row(finding: Finding) -> list[str]:
    error = f" ± {100 * finding.error:.2f}" if finding.error is not None else ""
    what = finding.what
    return [
        finding.name,
        what if len(what) <= _WHAT_CHARS else f"{what[: _WHAT_CHARS - 1]}…",
        finding.proposer or finding.kind,
        f"{100 * finding.accuracy:.2f}{error} %",
        str(finding.folds),
        decimal(finding.loss),
        scaled(finding.params),
        duration(finding.cost_s),
    ]
