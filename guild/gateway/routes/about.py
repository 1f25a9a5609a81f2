"""What the guild is: its overview, graph, messages, topics; and its conversations."""

from collections.abc import Collection, Sequence

from pydantic import BaseModel, ConfigDict

from guild.client import GuildClient
from guild.deciding import desks_of
from guild.errors import NoSuchMessageError
from guild.gateway.callers import Scope
from guild.gateway.endpoint import Call
from guild.gateway.errors import NoSuchPathError
from guild.operations.conversation import Conversation
from guild.operations.schemas import MessageInfo
from guild.operations.view import GraphReport, GuildOverview, TopicReport
from guild.progress import TextDelta

CHAT, APPROVALS, EXPERIMENTS = "chat", "approvals", "experiments"


class CallerInfo(BaseModel):
    """The token that was sent, and what it is good for."""

    model_config = ConfigDict(frozen=True)

    name: str
    scopes: tuple[Scope, ...]


class GatewayOverview(GuildOverview):
    """A guild as its spec declares it, and what the caller may do with it here.

    Attributes:
        features: what else the guild has that a console shows: `chat`, `approvals`, `experiments`.
    """

    caller: CallerInfo
    features: tuple[str, ...]


async def show_guild(call: Call[None, None]) -> GatewayOverview:
    scopes = tuple(scope for scope in Scope if scope in call.caller.scopes)
    return GatewayOverview(
        **dict(call.client.overview()),
        caller=CallerInfo(name=call.caller.name, scopes=scopes),
        features=_features(call.client, call.services.mounted),
    )


async def show_graph(call: Call[None, None]) -> GraphReport:
    return call.client.graph()


async def list_schemas(call: Call[None, None]) -> Sequence[MessageInfo]:
    return call.client.schemas()


async def show_schema(call: Call[None, None]) -> MessageInfo:
    try:
        return call.client.schema_of(call.path["type"])
    except NoSuchMessageError as error:
        raise NoSuchPathError(call.request.scope["path"], str(error)) from error


async def list_topics(call: Call[None, None]) -> Sequence[TopicReport]:
    return await call.client.topics()


async def show_conversation(call: Call[None, None]) -> Conversation:
    return await call.unless_gone(call.client.conversation(call.path["id"]))


def _features(client: GuildClient, mounted: Collection[str]) -> tuple[str, ...]:
    contracts = [c for agent in client.plan.agents.values() for c in agent.contracts.values()]
    has = {
        CHAT: any(TextDelta in contract.emits for contract in contracts),
        APPROVALS: bool(desks_of(client.plan)),
        EXPERIMENTS: f"/{EXPERIMENTS}" in mounted,
    }
    return tuple(name for name, is_there in has.items() if is_there)
