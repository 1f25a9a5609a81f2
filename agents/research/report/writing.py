"""The job that writes a report into its folder; runs in a child, where matplotlib may be loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.research.report.content import ReportContent
from agents.research.report.document import build_document
from agents.research.report.figures import draw_figures
from agents.research.report.files import write_document
from agents.research.report.machine import this_machine


def write_report(
    payload: dict[str, Any], report: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Write plots, Markdown and HTML of `payload["content"]`, a `ReportContent`.

    Writing the same content again replaces what is there. The HTML comes last: where it exists,
    the report is complete.
    """
    content = ReportContent.model_validate(payload["content"])
    folder = Path(content.folder)
    folder.mkdir(parents=True, exist_ok=True)
    report({"done": 0, "total": 2, "text": "drawing"})
    figures = draw_figures(content, folder)
    report({"done": 1, "total": 2, "text": "writing"})
    sources = {file.path: Path(file.path).read_text("utf-8") for file in content.code}
    written = write_document(build_document(content, this_machine(), figures, sources), folder)
    drawn = [folder / figure.path for figure in figures.values()]
    return {
        "markdown_path": str(written.markdown),
        "html_path": str(written.html),
        "figures": [str(path) for path in [*drawn, *written.drawings]],
    }
