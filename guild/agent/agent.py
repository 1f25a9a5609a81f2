"""Agents: handlers, properties and a lifecycle."""

import typing
from collections.abc import Mapping
from typing import Any, ClassVar, Generic

from pydantic import BaseModel
from typing_extensions import TypeVar

from guild.agent.contracts import HandlerContract, MessageClass, contracts_of, handles
from guild.agent.resources import ResourceScope
from guild.agent.traits import NO_TRAITS, Traits
from guild.properties import BaseAgentProps

__all__ = ["Agent", "BaseAgentProps", "Props", "handles"]

Props = TypeVar("Props", bound=BaseModel, default=BaseAgentProps)


class Agent(Generic[Props]):
    """Base of all agents: handlers, properties and a lifecycle.

        class Greeter(Agent[GreeterProps]):
            @handles
            async def greet(self, request: Greet) -> Greeted: ...

    The guild makes an agent by calling its class. A parameter named `properties` gets the
    properties; every other one gets the guild's resource of that name, opened beforehand, or the
    one that the spec's `dependencies` gives for it. Resources that should stay closed until a
    message needs them are asked for in the handler: `await self.resources.get("llm")`.

    Attributes:
        extra: the extra of guildbus that installs what it needs, for the error message.
        requires: modules that must be installed before it can start; they are looked for, not
            imported.
        properties: what the spec sets.
        id: its id in the guild; "" outside one.
        resources: the guild's shared resources; set before `start`.
    """

    extra: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    properties_class: ClassVar[type[BaseModel]] = BaseAgentProps
    contracts: ClassVar[Mapping[str, HandlerContract]] = {}

    properties: Props
    resources: ResourceScope
    id: str = ""

    def __init__(self, properties: Props | None = None) -> None:
        self.properties = typing.cast(Props, properties or self.properties_class())

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.properties_class = _properties_class_of(cls)
        cls.contracts = contracts_of(cls)

    async def start(self) -> None:
        """Called once before the first message; an error counts as a crash of the agent."""

    async def run(self) -> None:
        """Work of its own beside the handlers. An agent that overrides this lives as long as it
        runs: its end is the agent's, an error the agent's crash, and at shutdown it is cancelled.
        """

    async def stop(self) -> None:
        """Called once after the last message, also after a crash."""

    @classmethod
    def traits(cls, properties: Any) -> Traits:  # noqa: ARG003 - for those that override it
        """What it can do that is dangerous together, by its properties; see `guild.agent.traits`.

        What it can do by its resources is added to that.
        """
        return NO_TRAITS

    @classmethod
    def accepted(cls) -> dict[MessageClass, HandlerContract]:
        """Every message class it handles, and by which handler."""
        return {
            message_class: contract
            for contract in cls.contracts.values()
            for message_class in contract.accepts
        }


def _properties_class_of(cls: type[Agent[Any]]) -> type[BaseModel]:
    for base in cls.__dict__.get("__orig_bases__", ()):
        origin, arguments = typing.get_origin(base), typing.get_args(base)
        is_agent = isinstance(origin, type) and issubclass(origin, Agent)
        if is_agent and isinstance(arguments[0], type) and issubclass(arguments[0], BaseModel):
            return arguments[0]
    return cls.properties_class
