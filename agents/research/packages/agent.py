"""The package agent: installs what experiments need, where the operator allows it."""

from agents.research.jobs import Jobs
from agents.research.packages.messages import InstallPackage, PackageInstalled
from agents.research.packages.tools import install_package
from guild import Agent, Context, handles
from guild.progress import Progress


class PackageAgent(Agent):
    """Installs into the workspace's own virtual environment; installing twice changes nothing."""

    extra = "research"

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self._jobs = jobs

    @handles(emits=[Progress])
    async def install(self, request: InstallPackage, ctx: Context) -> PackageInstalled:
        return await install_package(self._jobs, request, ctx)
