"""The reporter agent: keeps the folder of a run, from its first file to its report."""

from asyncio import to_thread
from importlib import resources

from agents.research.architectures import BLOCK_FILES, BLOCKS_FOLDER
from agents.research.jobs import Jobs
from agents.research.messages import PrepareRun, ReportWritten, RunPrepared, WriteReport
from agents.research.researcher.reporting import findings_for
from guild import Agent, Context, handles
from guild.progress import Progress

_WRITE_REPORT = "agents.research.report.writing:write_report"


class ReporterAgent(Agent):
    """Puts custom blocks into a run's folder, and in the end its report."""

    extra = "research"
    requires = ("matplotlib",)

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles
    def prepare(self, request: PrepareRun) -> RunPrepared:
        folder = self._jobs.inside(request.folder, key="folder")
        paths = [f"{folder}/{BLOCKS_FOLDER}/{name}" for name in BLOCK_FILES]
        for name, path in zip(BLOCK_FILES, paths, strict=True):
            source = resources.files("agents.research") / BLOCKS_FOLDER / name
            self._jobs.files.write(path, source.read_text("utf-8"))
        return RunPrepared(folder=folder, block_paths=tuple(paths))

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
