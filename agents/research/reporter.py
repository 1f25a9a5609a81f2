"""The reporter agent: writes what a run has found into its folder."""

from asyncio import to_thread
from pathlib import Path

from agents.research.jobs import Jobs
from agents.research.messages import ReportWritten, WriteReport
from agents.research.report.content import ReportContent
from agents.research.report.document import build_document
from agents.research.report.files import Written, write_document
from agents.research.report.machine import this_machine
from agents.research.researcher.reporting import findings_for
from guild import Agent, Context, handles
from guild.progress import Progress


class ReporterAgent(Agent):
    """Writes the report of a run, from what its steps answered and its study recorded."""

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles(emits=[Progress])
    async def write(self, request: WriteReport, ctx: Context) -> ReportWritten:
        self._jobs.inside(request.content.folder, key="content.folder")
        ctx.emit(Progress(task="write the report"))
        return _answer(await to_thread(_write, self._jobs.workspace, request), self._jobs.workspace)


def _write(workspace: Path, request: WriteReport) -> Written:
    content = request.content
    if request.study is not None:
        found = findings_for(workspace, request.study)
        content = content.model_copy(update={"study": found})
    return write_report(workspace, content)


def write_report(workspace: Path, content: ReportContent) -> Written:
    """Write Markdown, HTML and drawings; the same content again replaces what is there."""
    document = build_document(content, this_machine())
    return write_document(document, workspace / content.folder, below=workspace)


def _answer(written: Written, workspace: Path) -> ReportWritten:
    return ReportWritten(
        markdown_path=str(written.markdown.relative_to(workspace)),
        html_path=str(written.html.relative_to(workspace)),
        figures=tuple(str(drawn.relative_to(workspace)) for drawn in written.drawings),
    )
