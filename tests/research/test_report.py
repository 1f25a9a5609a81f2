import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.research.report.content import Machine, ReportContent
from agents.research.report.document import build_document
from agents.research.report.markdown import to_markdown
from agents.research.report.writing import write_report
from tests.research.samples import HOSTILE, full_content

PNG = b"\x89PNG\r\n\x1a\n"
MACHINE = Machine(
    cores=2, memory_bytes=8_000_000_000, processor="p", system="s", python="3.11", torch="2"
)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Path]:
    """A working directory with the generated code that the sample report shows."""
    source = tmp_path / "runs/first/models/digits_conv.py"
    source.parent.mkdir(parents=True)
    source.write_text("class DigitsConv:\n    '''<b>code</b>'''\n")
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def write(content: ReportContent) -> dict[str, Any]:
    return write_report({"content": content.model_dump(mode="json")}, lambda _: None)


def test_a_report_has_plots_in_two_themes_markdown_and_html(workspace: Path) -> None:
    written = write(full_content())

    assert Path(written["markdown_path"]).is_file()
    assert Path(written["html_path"]).is_file()
    assert len(written["figures"]) == 4
    for name in written["figures"]:
        light = Path(name)
        assert light.read_bytes().startswith(PNG)
        assert light.with_name(f"{light.stem}-dark.png").read_bytes().startswith(PNG)


def test_the_html_needs_nothing_else_and_runs_nothing(workspace: Path) -> None:
    html = Path(write(full_content())["html_path"]).read_text()

    sources = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;b&gt;code&lt;/b&gt;" in html


def test_both_say_the_figures_that_were_found(workspace: Path) -> None:
    written = write(full_content())

    for key in ("markdown_path", "html_path"):
        text = Path(written[key]).read_text()
        for figure in ("97.22 %", "98.06 %", "1.520 bits per byte", "52,138", "2.41 M", "1 min 44"):
            assert figure in text, (key, figure)


def test_a_failed_step_is_shown_with_its_error(workspace: Path) -> None:
    written = write(full_content())

    assert "Failed: assemble digits_odd" in Path(written["html_path"]).read_text()
    assert "Failed: assemble digits\\_odd" in Path(written["markdown_path"]).read_text()


def test_markdown_links_pictures_that_exist(workspace: Path) -> None:
    written = write(full_content())

    folder = Path(written["markdown_path"]).parent
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", Path(written["markdown_path"]).read_text())
    assert len(pictures) == 4
    assert all((folder / picture).is_file() for picture in pictures)


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    content = full_content(steps=[full_content().steps[0].model_copy(update={"title": HOSTILE})])
    plain = content.model_copy(update={"training": None, "test": None, "language_model": None})
    text = to_markdown(build_document(plain, MACHINE, {}, {}))

    (row,) = [line for line in text.splitlines() if "assembler" in line and line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_code_that_contains_a_fence_stays_inside_its_block() -> None:
    content = full_content(training=None, test=None, language_model=None)
    source = "'''\n```\nnot the end\n```\n'''\n"

    text = to_markdown(build_document(content, MACHINE, {}, {content.code[0].path: source}))

    assert f"````python\n{source.rstrip()}\n````" in text


def test_a_run_whose_branches_all_failed_still_has_a_report(workspace: Path) -> None:
    steps = [step for step in full_content().steps if step.status == "failed"]
    content = ReportContent(
        name="bad", folder="runs/bad", started_at=0.0, ended_at=1.0, asked={}, steps=steps
    )

    written = write(content)

    assert written["figures"] == []
    assert "0 of 1" in Path(written["html_path"]).read_text()


def test_writing_again_leaves_one_report(workspace: Path) -> None:
    first = write(full_content())
    files = sorted(path.name for path in Path("runs/first").rglob("*"))

    second = write(full_content())

    assert first == second
    assert files == sorted(path.name for path in Path("runs/first").rglob("*"))
