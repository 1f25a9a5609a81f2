"""The stateful agent: it plans, acts and answers by states that its spec writes down."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, PositiveInt, field_validator, model_validator

from agents._suggest import did_you_mean
from agents.llm.bus.failures import told_to_the_bus
from agents.llm.bus.messages import StatefulReply, StatefulRequest, StepSaid, ToolAnswered
from agents.llm.bus.model_agent import AnyModelProps, ModelAgent
from agents.llm.dialogue import Dialogue
from agents.llm.engines import LLMInitializationError, ModelRegistry
from agents.llm.stateful.briefing import briefing
from agents.llm.stateful.config import MachineConfig, Place, misplaced
from agents.llm.stateful.walk import Taken, Walk, asks_nothing, opened, question_in
from agents.llm.tools import Tool, Toolbox
from agents.llm.tools.execution import DEFAULT_MAX_RESULT_CHARS
from guild import Context, handles
from guild.agent.traits import NO_TRAITS, Traits, asks_first
from guild.approvals import ApprovalDecision
from guild.asking import AskFirst, hold, take_up
from guild.progress import TextDelta
from messaging.handling.context import Requester
from messaging.wire.replies import RequestFailed

_ANSWERS = (StatefulReply, RequestFailed)
_EMITS = (TextDelta, StepSaid, ToolAnswered)
_WITHOUT_SCORES = ("openai", "scripted")


class ToolApprovals(AskFirst):
    """Which calls a person decides about before they are run; see its base.

    Attributes:
        before: names of tools; all of them, if none is named.
    """

    before: tuple[str, ...] = ()

    def asks(self, tool: str) -> bool:
        return not self.before or tool in self.before


class Way(BaseModel):
    """A request, and the steps that were taken for it until a person was asked."""

    request: StatefulRequest
    taken: tuple[Taken, ...] = ()


class StatefulAgentProps(AnyModelProps):
    """Which model goes through which states; see its bases.

    Attributes:
        machine: the states. What is to be said in each is read when the spec is checked, where
            the packages for that are installed.
        system: what the model is told first; what the states are is told behind it.
        max_new_tokens: of each step.
        max_result_chars: longer results of tools are cut.
        approvals: which calls a person decides about; None for no call.
    """

    machine: MachineConfig
    system: str = ""
    max_result_chars: PositiveInt = DEFAULT_MAX_RESULT_CHARS
    approvals: ToolApprovals | None = None

    @field_validator("backend")
    @classmethod
    def _shows_scores(cls, name: str) -> str:
        if name in _WITHOUT_SCORES:
            raise ValueError(
                f"{name!r} shows no scores of tokens, so that nothing keeps its model to the states"
            )
        return name

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of those that are called in any state."""
        states = self.machine.states.values()
        return tuple(dict.fromkeys(tool.name for state in states for tool in state.tools or ()))

    @model_validator(mode="after")
    def _asks_about_its_own(self) -> Self:
        refused: dict[Place, str] = {}
        for index, name in enumerate(self.approvals.before if self.approvals else ()):
            if name not in self.tools:
                text = f"no state calls a tool {name!r}{did_you_mean(name, self.tools)}"
                refused["approvals", "before", index] = text
        if refused:
            raise misplaced(type(self).__name__, refused)
        return self

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
    it has been taken: a replica that takes over after a death goes on behind the last one. So it
    does when a person has decided about a call; until then, no handler runs and no model is held.

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

    @classmethod
    def traits(cls, properties: StatefulAgentProps) -> Traits:
        if not properties.tools:
            return NO_TRAITS
        approvals = properties.approvals
        is_asked = approvals is not None and all(map(approvals.asks, properties.tools))
        return Traits(
            untrusted="its language model chooses its calls",
            asks=is_asked and asks_first(approvals),
        )

    @handles(answers=_ANSWERS, emits=_EMITS)
    async def go_through(self, request: StatefulRequest, ctx: Context) -> StatefulReply | None:
        return await self._go(Way(request=request), None, None, ctx)

    @handles(answers=_ANSWERS, emits=_EMITS)
    async def go_on(self, decision: ApprovalDecision, ctx: Context) -> None:
        """Go on behind the call that was decided about."""
        held = await take_up(decision, Way, ctx)
        if held is not None:
            await held.tell(self._go(held.kept, decision, held.requester, ctx), ctx)

    async def _go(
        self,
        way: Way,
        decision: ApprovalDecision | None,
        requester: Requester | None,
        ctx: Context,
    ) -> StatefulReply | None:
        """The reply; None where a person is asked first."""
        from agents.llm.structured.states import Run  # noqa: PLC0415  needs llguidance

        props, approvals = self.properties, self.properties.approvals
        with told_to_the_bus():
            async with self._lease() as engine:
                messages = opened(self._system, way.request.messages)
                dialogue = Dialogue(
                    engine,
                    self._sampling(way.request, ctx),
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
                    asks=approvals.asks if approvals is not None else asks_nothing,
                    taken=list(way.taken),
                    decision=decision,
                )
                undecided = await walk.to_the_end()
        if undecided is None or approvals is None:
            return _reply(walk, props.model)
        hold(
            Way(request=way.request, taken=tuple(walk.taken)),
            approvals,
            ctx,
            what=f"Call {undecided.name}",
            why=f"{ctx.group}, a language model, wants to call it in step {len(walk.taken)}.",
            details={"tool": undecided.name, "arguments": undecided.arguments},
            requester=requester,
        )
        return None


def _reply(walk: Walk, model: str) -> StatefulReply:
    last = walk.steps[-1]
    return StatefulReply(
        steps=tuple(walk.steps),
        text=last.text,
        value=last.value,
        dropped_messages=walk.dropped,
        model=model,
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
