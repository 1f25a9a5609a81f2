"""The package agent: installs what experiments need, where the operator allows it."""

from agents.research.jobs import Jobs
from agents.research.packages.messages import InstallPackage, PackageInstalled
from agents.research.packages.tools import install_package
from guild import Agent, BaseAgentProps, Context, handles
from guild.approvals import ApprovalDecision
from guild.asking import AskFirst, hold, take_up
from guild.progress import Progress
from messaging.wire.replies import RequestFailed


class PackageProps(BaseAgentProps):
    """Whether a person is asked before a package is fetched and installed.

    Attributes:
        approvals: where; None to ask no one.
    """

    approvals: AskFirst | None = None


class PackageAgent(Agent[PackageProps]):
    """Installs into the workspace's own virtual environment; installing twice changes nothing.

    It runs nothing of what it installs, and asks only the index that the operator has set: it has
    none of the traits of `guild.agent.traits`.
    """

    extra = "research"

    def __init__(self, properties: PackageProps, jobs: Jobs) -> None:
        super().__init__(properties)
        self._jobs = jobs

    @handles(answers=[PackageInstalled, RequestFailed], emits=[Progress])
    async def install(self, request: InstallPackage, ctx: Context) -> PackageInstalled | None:
        asks = self.properties.approvals
        if asks is not None:
            version = f" {request.version}" if request.version else ""
            what = f"Install the package {request.package_name}{version}"
            hold(request, asks, ctx, what=what, details=request.model_dump(mode="json"))
            return None
        return await install_package(self._jobs, request, ctx)

    @handles(answers=[PackageInstalled, RequestFailed], emits=[Progress])
    async def decided(self, decision: ApprovalDecision, ctx: Context) -> None:
        """Install it, or tell the sender why not."""
        held = await take_up(decision, InstallPackage, ctx)
        if held is not None:
            await held.settle(
                decision, lambda wanted: install_package(self._jobs, wanted, ctx), ctx
            )
