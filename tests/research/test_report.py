import re
from pathlib import Path

import pytest

from agents.research.errors import ResearchError
from agents.research.report.content import Machine, ReportContent
from agents.research.report.document import build_document
from agents.research.report.files import Written
from agents.research.report.html import to_html
from agents.research.report.markdown import to_markdown
from agents.research.reporter import write_report
from tests.research.samples import HOSTILE, full_content

MACHINE = Machine(
    cores=2, memory_bytes=8_000_000_000, processor="p", system="s", python="3.11", torch="2"
)


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_report(tmp_path, full_content())


def test_a_report_is_markdown_html_and_the_drawings_that_markdown_shows(written: Written) -> None:
    shown = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", written.markdown.read_text())

    assert [written.markdown.parent / path for path in shown] == written.drawings
    assert [path.name for path in written.drawings] == ["language-model-loss.svg"]
    assert written.drawings[0].read_text().startswith("<svg")


def test_the_html_needs_nothing_else_and_runs_nothing(written: Written) -> None:
    html = written.html.read_text()

    links = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    assert links
    assert all(link.startswith("#") for link in links)
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "&lt;/pre&gt;&lt;b&gt;" in html


def test_both_say_the_figures_that_were_found(written: Written) -> None:
    for file in (written.markdown, written.html):
        text = file.read_text().replace("&nbsp;", " ")
        for figure in ("1.520 bits per byte", "812 k", "3.310 nats per token", "1 min 44"):
            assert figure in text, (file, figure)


def test_a_failed_step_is_shown_with_its_error(written: Written) -> None:
    assert "Failed: search" in written.html.read_text()
    assert "Failed: search" in written.markdown.read_text()


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    content = full_content(steps=[full_content().steps[0].model_copy(update={"title": HOSTILE})])

    text = to_markdown(build_document(content, MACHINE))

    (row,) = [line for line in text.splitlines() if "tokenizer" in line and line.startswith("|")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5


def test_text_that_contains_a_fence_stays_inside_its_block() -> None:
    content = full_content(asked={"prompt": "```"})

    text = to_markdown(build_document(content, MACHINE))

    assert '````json\n{\n  "prompt": "```"\n}\n````' in text


@pytest.mark.parametrize("points", [0, 1])
def test_a_model_that_was_hardly_trained_has_a_report(points: int) -> None:
    model = full_content().language_model
    assert model is not None
    curves = [
        curve.model_copy(update={"x": [0.0] * points, "y": [1.0] * points}) for curve in model.loss
    ]
    content = full_content(language_model=model.model_copy(update={"loss": curves}))

    html = to_html(build_document(content, MACHINE))

    assert html.count("<svg") == points


def test_a_run_whose_branches_all_failed_still_has_a_report(tmp_path: Path) -> None:
    steps = [step for step in full_content().steps if step.status == "failed"]
    content = ReportContent(
        name="bad", folder="runs/bad", started_at=0.0, ended_at=1.0, asked={}, steps=steps
    )

    written = write_report(tmp_path, content)

    assert written.drawings == []
    assert "0 of 1" in written.html.read_text()


def test_writing_again_leaves_one_report(tmp_path: Path) -> None:
    first = write_report(tmp_path, full_content())
    files = sorted(path.name for path in (tmp_path / "runs/first").rglob("*"))

    second = write_report(tmp_path, full_content())

    assert first == second
    assert files == sorted(path.name for path in (tmp_path / "runs/first").rglob("*"))


def test_a_report_is_not_written_through_a_link_that_a_job_has_planted(tmp_path: Path) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    (workspace / "runs").mkdir(parents=True)
    outside.mkdir()
    (workspace / "runs" / "first").symlink_to(outside)

    with pytest.raises(ResearchError):
        write_report(workspace, full_content())

    assert list(outside.iterdir()) == []
