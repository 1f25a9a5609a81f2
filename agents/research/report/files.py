"""A document's files: report.md, report.html and the drawings that Markdown shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agents.research.report.blocks import Document, Drawing, Drawings
from agents.research.report.drawing import alone
from agents.research.report.html import to_html
from agents.research.report.markdown import drawing_path, to_markdown
from agents.research.workspace.files import MIB, WorkspaceFiles

MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"
_MOST_BYTES = 256 * MIB


class Written(NamedTuple):
    markdown: Path
    html: Path
    drawings: list[Path]


def write_document(document: Document, folder: Path, *, below: Path | None = None) -> Written:
    """Write the files into `folder`, made if missing, over those of an earlier report.

    The HTML comes last: where it exists, the report is complete. `below` is a folder that others
    write to: no link of theirs leads out of it.

    Raises:
        OutsideWorkspaceError, WorkRefusedError: such a link is in the way, or the disk is full.
    """
    root = below or folder
    if below is None:
        folder.mkdir(parents=True, exist_ok=True)
    files = WorkspaceFiles(root, max_bytes=_MOST_BYTES)
    drawings, markdown, html = [], folder / MARKDOWN_FILE, folder / HTML_FILE
    for drawn in _drawings(document):
        drawings.append(folder / drawing_path(drawn))
        files.write(str(drawings[-1].relative_to(root)), alone(drawn))
    files.write(str(markdown.relative_to(root)), to_markdown(document))
    files.write(str(html.relative_to(root)), to_html(document))
    return Written(markdown, html, drawings)


def _drawings(document: Document) -> Iterator[Drawing]:
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Drawing):
                yield block
            elif isinstance(block, Drawings):
                yield from block.drawings
