"""The job that writes a report into its folder; runs in a child, where matplotlib may be loaded."""

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.research.report.content import Machine, ReportContent
from agents.research.report.document import build_document
from agents.research.report.figures import draw_figures
from agents.research.report.html import to_html
from agents.research.report.markdown import to_markdown

MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"


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
    document = build_document(content, this_machine(), figures, sources)
    markdown, html = folder / MARKDOWN_FILE, folder / HTML_FILE
    _write_atomically(markdown, to_markdown(document))
    _write_atomically(html, to_html(document))
    return {
        "markdown_path": str(markdown),
        "html_path": str(html),
        "figures": [str(folder / figure.path) for figure in figures.values()],
    }


def this_machine() -> Machine:
    import torch  # noqa: PLC0415  heavy, and only its version is wanted

    return Machine(
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        processor=_processor(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        torch=str(torch.__version__),
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, "utf-8")
    draft.replace(path)
