"""The scaffold agent: new research projects."""

from agents.research.jobs import Jobs
from agents.research.scaffold.messages import CreateProject, ProjectCreated
from agents.research.scaffold.project import create_scaffold
from guild import Agent, handles


class ScaffoldAgent(Agent):
    """Makes folders of projects in the workspace."""

    extra = "research"

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles
    async def create(self, request: CreateProject) -> ProjectCreated:
        return await create_scaffold(self._jobs, request)
