"""A document's files: report.md, report.html and the drawings that Markdown shows."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agents.research.report.blocks import Document, Drawing, Drawings
from agents.research.report.drawing import alone
from agents.research.report.html import to_html
from agents.research.report.markdown import drawing_path, to_markdown

MARKDOWN_FILE = "report.md"
HTML_FILE = "report.html"


class Written(NamedTuple):
    markdown: Path
    html: Path
    drawings: list[Path]


def write_document(document: Document, folder: Path) -> Written:
    """Write the files into `folder`, made if missing, over those of an earlier report.

    The HTML comes last: where it exists, the report is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawings = []
    for drawn in _drawings(document):
        path = folder / drawing_path(drawn)
        path.parent.mkdir(exist_ok=True)
        _write_atomically(path, alone(drawn))
        drawings.append(path)
    markdown, html = folder / MARKDOWN_FILE, folder / HTML_FILE
    _write_atomically(markdown, to_markdown(document))
    _write_atomically(html, to_html(document))
    return Written(markdown, html, drawings)


def _drawings(document: Document) -> Iterator[Drawing]:
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Drawing):
                yield block
            elif isinstance(block, Drawings):
                yield from block.drawings


def _write_atomically(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, "utf-8")
    draft.replace(path)
