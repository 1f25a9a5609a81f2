"""A finished run on the terminal."""

from collections.abc import Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from agents.research.report.wording import decimal, duration


class Finished(Protocol):
    """What is shown of a run; `agents.research.run.messages.ResearchReport` has it."""

    @property
    def seconds(self) -> float: ...
    @property
    def bits_per_byte(self) -> float | None: ...
    @property
    def completion(self) -> str: ...
    @property
    def failures(self) -> Sequence[str]: ...
    @property
    def html_path(self) -> str: ...


def render(report: Finished) -> RenderableType:
    """The headline figures, the completion, what failed, and where to read on."""
    parts: list[RenderableType] = [_headlines(report)]
    if report.completion:
        parts.append(Panel(Text(report.completion.rstrip()), title="completion", expand=False))
    parts += [Text(f"failed: {failure}", style="red") for failure in report.failures]
    parts.append(Text.assemble(("report: ", "bold"), report.html_path))
    return Group(*parts)


def _headlines(report: Finished) -> Text:
    lines = [f"finished in {duration(report.seconds)}"]
    if report.bits_per_byte is not None:
        lines.append(f"language model: {decimal(report.bits_per_byte)} bits per byte")
    return Text("\n".join(lines))
