"""What a guild is, at a glance."""

from importlib.metadata import version

from guild.checking.plan import Plan
from guild.operations.view import View


class GuildOverview(View):
    """A guild as its spec declares it.

    Attributes:
        agents: how many there are in the spec.
        warnings: what is odd about its wiring, a line each.
        version: of guildbus, in this process.
    """

    id: str
    description: str
    agents: int
    warnings: tuple[str, ...]
    version: str


def overview_of(plan: Plan) -> GuildOverview:
    spec = plan.spec
    return GuildOverview(
        id=spec.id,
        description=spec.description,
        agents=len(spec.agents),
        warnings=plan.warnings,
        version=version("guildbus"),
    )
