"""The stateful agent: it plans, acts and answers by states that its spec writes down."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import PositiveInt, field_validator, model_validator

from agents.llm.bus.failures import told_to_the_bus
from agents.llm.bus.messages import StatefulReply, StatefulRequest, StepSaid, ToolAnswered
from agents.llm.bus.model_agent import AnyModelProps, ModelAgent
from agents.llm.dialogue import Dialogue
from agents.llm.engines import LLMInitializationError, ModelRegistry
from agents.llm.stateful.briefing import briefing
from agents.llm.stateful.config import MachineConfig, Place, misplaced
from agents.llm.stateful.walk import Walk, opened, question_in
from agents.llm.tools import Tool, Toolbox
from agents.llm.tools.execution import DEFAULT_MAX_RESULT_CHARS
from guild import Context, handles
from guild.progress import TextDelta

_WITHOUT_SCORES = ("openai", "scripted")


class StatefulAgentProps(AnyModelProps):
    """Which model goes through which states; see its bases.

    Attributes:
        machine: the states. What is to be said in each is read when the spec is checked, where
            the packages for that are installed.
        system: what the model is told first; what the states are is told behind it.
        max_new_tokens: of each step.
        max_result_chars: longer results of tools are cut.
    """

    machine: MachineConfig
    system: str = ""
    max_result_chars: PositiveInt = DEFAULT_MAX_RESULT_CHARS

    @field_validator("backend")
    @classmethod
    def _shows_scores(cls, name: str) -> str:
        if name in _WITHOUT_SCORES:
            raise ValueError(
                f"{name!r} shows no scores of tokens, so that nothing keeps its model to the states"
            )
        return name

    @model_validator(mode="after")
    def _can_be_enforced(self) -> Self:
        refused = {("machine", *place): text for place, text in _refusals(self.machine)}
        if refused:
            raise misplaced(type(self).__name__, refused)
        return self


class StatefulAgent(ModelAgent[StatefulAgentProps]):
    """Answers `StatefulRequest` by going through states, from the first to a last one.

    In each step the model says one of the states that may come next, and in it nothing but what
    the state allows. Calls are run, and their results told to the model. Each step is kept when
    it has been taken: a replica that takes over after a death goes on behind the last one.

    Args:
        properties: see their class.
        models: the guild's loaded models.
        tools: functions for the calls, of which the guild's resource `tools` is a list, or a
            `Toolbox` where calls need approval.

    Raises:
        LLMInitializationError: a state calls a tool that is not there.
        SchemaError: what a tool takes cannot be enforced.
    """

    extra = "torch"
    requires = ("llguidance", "jsonschema")

    def __init__(
        self,
        properties: StatefulAgentProps,
        models: ModelRegistry | None = None,
        tools: Any = None,
    ) -> None:
        super().__init__(properties, models)
        from agents.llm.structured.states import Machine  # noqa: PLC0415  needs llguidance

        self._toolbox = Toolbox.of(tools)
        known = self._toolbox.tools
        _check_tools(properties.machine, known)
        schemas = {name: tool.parameters for name, tool in known.items()}
        self._machine = Machine(properties.machine.with_arguments(schemas))
        self._system = briefing(properties.system, self._machine.config, known)

    @handles(emits=(TextDelta, StepSaid, ToolAnswered))
    async def go_through(self, request: StatefulRequest, ctx: Context) -> StatefulReply:
        from agents.llm.structured.states import Run  # noqa: PLC0415  needs llguidance

        props = self.properties
        with told_to_the_bus():
            async with self._lease() as engine:
                messages = opened(self._system, request.messages)
                dialogue = Dialogue(
                    engine,
                    self._sampling(request, ctx),
                    overflow=props.overflow,
                    question=question_in(messages),
                )
                walk = Walk(
                    run=Run(self._machine),
                    dialogue=dialogue,
                    toolbox=self._toolbox,
                    max_result_chars=props.max_result_chars,
                    ctx=ctx,
                    messages=messages,
                )
                await walk.to_the_end()
        last = walk.steps[-1]
        return StatefulReply(
            steps=tuple(walk.steps),
            text=last.text,
            value=last.value,
            dropped_messages=walk.dropped,
            model=props.model,
            usage=walk.usage,
        )


def _refusals(machine: MachineConfig) -> Iterator[tuple[Place, str]]:
    try:
        from agents.llm.structured.states import refusals  # noqa: PLC0415  needs llguidance
    except (ModuleNotFoundError, LLMInitializationError):
        return  # the agent cannot start here, and says what is missing when it is to
    for place, error in refusals(machine):
        yield place, str(error)


def _check_tools(machine: MachineConfig, known: Mapping[str, Tool]) -> None:
    for name, state in machine.states.items():
        for tool in state.tools or ():
            if tool.name not in known:
                raise LLMInitializationError(
                    f"the state {name} calls {tool.name!r}, and there is no such tool (known: "
                    f"{', '.join(known) or 'none'}); give the guild a resource `tools` with it"
                )
