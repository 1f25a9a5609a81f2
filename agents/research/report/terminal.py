"""A finished run on the terminal."""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from agents.research.report.wording import decimal, duration
from agents.research.run.messages import ResearchReport


def render(report: ResearchReport) -> RenderableType:
    """The headline figures, the completion, what failed, and where to read on."""
    parts: list[RenderableType] = [_headlines(report)]
    if report.completion:
        parts.append(Panel(Text(report.completion.rstrip()), title="completion", expand=False))
    parts += [Text(f"failed: {failure}", style="red") for failure in report.failures]
    parts.append(Text.assemble(("report: ", "bold"), report.html_path))
    return Group(*parts)


def _headlines(report: ResearchReport) -> Text:
    lines = [f"finished in {duration(report.seconds)}"]
    if report.bits_per_byte is not None:
        lines.append(f"language model: {decimal(report.bits_per_byte)} bits per byte")
    return Text("\n".join(lines))
