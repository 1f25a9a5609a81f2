"""The report of a run, in its folder."""

from pathlib import Path

from agents.research.report.content import ReportContent
from agents.research.report.document import build_document
from agents.research.report.files import Written, write_document
from agents.research.report.machine import this_machine


def write_report(workspace: Path, content: ReportContent) -> Written:
    """Write Markdown, HTML and drawings; the same content again replaces what is there."""
    document = build_document(content, this_machine())
    return write_document(document, workspace / content.folder, below=workspace)
