"""The reporter agent: writes what a run has found into its folder."""

from asyncio import to_thread

from agents.research.jobs import Jobs
from agents.research.messages import ReportWritten, WriteReport
from agents.research.researcher.reporting import findings_for
from guild import Agent, Context, handles
from guild.progress import Progress

_WRITE_REPORT = "agents.research.report.writing:write_report"


class ReporterAgent(Agent):
    """Writes the report of a run, from what its steps answered and its study recorded."""

    extra = "research"
    requires = ("matplotlib",)

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles(emits=[Progress])
    async def write(self, request: WriteReport, ctx: Context) -> ReportWritten:
        self._jobs.inside(request.content.folder, key="content.folder")
        for file in request.content.code:
            self._jobs.inside(file.path, key="content.code")
        content = request.content
        if request.study is not None:
            found = await to_thread(findings_for, self._jobs.workspace, request.study)
            content = content.model_copy(update={"study": found})
        payload = {"content": content.model_dump(mode="json")}
        done = await self._jobs.run(_WRITE_REPORT, payload, ctx, task="write the report")
        return ReportWritten.model_validate(done.result)
