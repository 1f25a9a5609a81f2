"""One way through the states of a machine: each step is said by the model, and kept."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import BaseModel

from agents.llm.bus.messages import Step, StepSaid, ToolAnswered
from agents.llm.bus.model_agent import emitter
from agents.llm.bus.sendable import sendable_step
from agents.llm.chat.messages import ChatMessage
from agents.llm.dialogue import Dialogue, Usage
from agents.llm.engines import LLMError, LLMInferenceError
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.parsing import ToolCall
from agents.llm.stateful.briefing import next_states
from agents.llm.tools import Toolbox, execute
from guild import Context
from guild.approvals import ApprovalDecision
from guild.asking import why_not

if TYPE_CHECKING:
    from agents.llm.structured.states import Run, Said

_SEEDS = 2**63


class Answer(BaseModel):
    """What is kept of a step."""

    text: str
    dropped: int
    usage: Usage


class Result(BaseModel):
    """What is kept of a call."""

    text: str
    is_error: bool


class Taken(BaseModel):
    """A step as it is kept until a person has decided about a later one.

    Attributes:
        result: of the call in it; None where none was called, or not yet.
    """

    answer: Answer
    result: Result | None = None


def asks_nothing(_: str) -> bool:
    """No person decides about calls."""
    return False


@dataclass
class Walk:
    """The steps of one request, as far as they have been taken.

    Attributes:
        run: where it is in the machine.
        dialogue: how the model is asked.
        messages: the conversation, which grows by each step.
        asks: whether a person decides about the calls of the tool of this name.
        taken: every step so far; those of earlier handlings are not taken again.
        decision: about the call in the last of these.
        dropped: how many of the oldest messages the model was not told, at most.
    """

    run: "Run"
    dialogue: Dialogue
    toolbox: Toolbox
    max_result_chars: int
    ctx: Context
    messages: list[ChatMessage]
    asks: Callable[[str], bool] = asks_nothing
    taken: list[Taken] = field(default_factory=list)
    decision: ApprovalDecision | None = None
    steps: list[Step] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    dropped: int = 0
    _told: str = ""

    async def to_the_end(self) -> ToolCall | None:
        """Take steps until a last state has been said, or a person has to decide about a call.

        Raises:
            LLMError: the model failed, or the deadline came first.
            InvalidRequestError: the states have changed since an earlier attempt.
        """
        decided = len(self.taken) if self.decision is not None else 0
        while not self.run.is_finished:
            number = len(self.steps) + 1
            undecided = await self._step(number, is_decided=number == decided)
            if undecided is not None:
                return undecided
        return None

    async def _step(self, number: int, *, is_decided: bool) -> ToolCall | None:
        """One answer of the model, and the call in it; what an earlier attempt did is kept.

        The call comes back where a person has to decide about it first.
        """
        self.messages = _asked(self.messages, self._told + next_states(self.run.allowed))
        if number > len(self.taken):
            answer = await self.ctx.step(f"say.{number}", self._say, number, returns=Answer)
            self.taken.append(Taken(answer=answer))
        taken = self.taken[number - 1]
        said = self._said(number, taken.answer.text)
        self.messages.append(ChatMessage(role="assistant", content=said.written))
        self.usage += taken.answer.usage
        self.dropped = max(self.dropped, taken.answer.dropped)
        step, call, self._told = _step_of(said), _call_in(said), ""
        if call is not None:
            if taken.result is None and self.asks(call.name) and not is_decided:
                return call
            result = taken.result or await self._result(number, call, is_decided=is_decided)
            self.taken[number - 1] = taken.model_copy(update={"result": result})
            self._told = f"{call.name}: {result.text}\n\n"
            step = step.model_copy(update={"result": result.text, "is_error": result.is_error})
        self.steps.append(step)
        return None

    async def _result(self, number: int, call: ToolCall, *, is_decided: bool) -> Result:
        if not is_decided or self.decision is None or self.decision.approved:
            return await self.ctx.step(f"call.{number}", self._call, number, call, returns=Result)
        text = f"Error: the call was not allowed: {why_not(self.decision)}"
        return self._answered(number, call, Result(text=text, is_error=True))

    def _said(self, number: int, text: str) -> "Said":
        """Go to the state of an answer, which may have been kept when the states were others."""
        try:
            return self.run.say(text)
        except LLMError as error:
            raise InvalidRequestError(
                f"step {number} was taken earlier, and does not fit the states that the agent has "
                f"now: {error}; ask again"
            ) from error

    async def _say(self, number: int) -> Answer:
        dialogue = self.dialogue.but(
            grammar=self.run.grammar, sampling=self.dialogue.sampling.but(seed=self._seed(number))
        )
        answer = await dialogue.answer(self.messages, emitter(self.ctx))
        if answer.value is None:
            raise LLMInferenceError(
                f"step {number} was ended before its time ({answer.finish_reason}), behind "
                f"{' '.join(step.state for step in self.steps) or 'none'}"
            )
        most = self.run.machine.config.max_steps
        self.ctx.emit(StepSaid(number=number, max_steps=most, step=_step_of(answer.value)))
        return Answer(text=answer.parsed.text, dropped=len(answer.dropped), usage=answer.usage)

    def _seed(self, number: int) -> int | None:
        """One of its own for each step, or all of them would begin alike."""
        seed = self.dialogue.sampling.seed
        return None if seed is None else (seed + number - 1) % _SEEDS

    async def _call(self, number: int, call: ToolCall) -> Result:
        result = await execute(
            call,
            self.toolbox.tools,
            approve=self.toolbox.approve,
            max_result_chars=self.max_result_chars,
        )
        return self._answered(number, call, Result(text=result.text, is_error=result.is_error))

    def _answered(self, number: int, call: ToolCall, result: Result) -> Result:
        self.ctx.emit(
            ToolAnswered(
                number=number, name=call.name, result=result.text, is_error=result.is_error
            )
        )
        return result


def opened(system: str, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The messages, with what the model is told first behind what they say first."""
    first, *rest = messages
    if first.role == "system":
        return [ChatMessage(role="system", content=f"{first.content}\n\n{system}"), *rest]
    return [ChatMessage(role="system", content=system), first, *rest]


def question_in(messages: Sequence[ChatMessage]) -> int:
    """The position of the user's last message before the first step, or where it will be."""
    asked = (at for at, message in enumerate(messages) if message.role == "user")
    return max(asked, default=len(messages))


def _asked(messages: Sequence[ChatMessage], text: str) -> list[ChatMessage]:
    """The messages with a text at the end of the user's last one, or in one of its own."""
    *before, last = messages
    if last.role != "user":
        return [*messages, ChatMessage(role="user", content=text)]
    return [*before, ChatMessage(role="user", content=f"{last.content}\n\n{text}")]


def _call_in(said: "Said") -> ToolCall | None:
    from agents.llm.structured.tools import ToolCall as Call  # noqa: PLC0415  needs llguidance

    is_call = isinstance(said.value, Call)
    return ToolCall(said.value.name, said.value.arguments) if is_call else None


def _step_of(said: "Said") -> Step:
    call = _call_in(said)
    value = said.value if call is None else {"name": call.name, "arguments": call.arguments}
    return sendable_step(Step(state=said.state, text=said.text, value=value))
