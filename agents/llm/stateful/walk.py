"""One way through the states of a machine: each step is said by the model, and kept."""

from collections.abc import Sequence
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

if TYPE_CHECKING:
    from agents.llm.structured.states import Run, Said

_SEEDS = 2**63


class _Answer(BaseModel):
    """What is kept of a step."""

    text: str
    dropped: int
    usage: Usage


class _Result(BaseModel):
    """What is kept of a call."""

    text: str
    is_error: bool


@dataclass
class Walk:
    """The steps of one request, as far as they have been taken.

    Attributes:
        run: where it is in the machine.
        dialogue: how the model is asked.
        messages: the conversation, which grows by each step.
        dropped: how many of the oldest messages the model was not told, at most.
    """

    run: "Run"
    dialogue: Dialogue
    toolbox: Toolbox
    max_result_chars: int
    ctx: Context
    messages: list[ChatMessage]
    steps: list[Step] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    dropped: int = 0
    _told: str = ""

    async def to_the_end(self) -> None:
        """Take steps until a last state has been said.

        Raises:
            LLMError: the model failed, or the deadline came first.
            InvalidRequestError: the states have changed since an earlier attempt.
        """
        while not self.run.is_finished:
            await self._step(len(self.steps) + 1)

    async def _step(self, number: int) -> None:
        """One answer of the model, and the call in it; what an earlier attempt did is kept."""
        self.messages = _asked(self.messages, self._told + next_states(self.run.allowed))
        answer = await self.ctx.step(f"say.{number}", self._say, number, returns=_Answer)
        said = self._taken(number, answer.text)
        self.messages.append(ChatMessage(role="assistant", content=said.written))
        self.usage += answer.usage
        self.dropped = max(self.dropped, answer.dropped)
        step, call, self._told = _step_of(said), _call_in(said), ""
        if call is not None:
            result = await self.ctx.step(
                f"call.{number}", self._call, number, call, returns=_Result
            )
            self._told = f"{call.name}: {result.text}\n\n"
            step = step.model_copy(update={"result": result.text, "is_error": result.is_error})
        self.steps.append(step)

    def _taken(self, number: int, text: str) -> "Said":
        """Go to the state of an answer, which may have been kept when the states were others."""
        try:
            return self.run.say(text)
        except LLMError as error:
            raise InvalidRequestError(
                f"step {number} was taken earlier, and does not fit the states that the agent has "
                f"now: {error}; ask again"
            ) from error

    async def _say(self, number: int) -> _Answer:
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
        return _Answer(text=answer.parsed.text, dropped=len(answer.dropped), usage=answer.usage)

    def _seed(self, number: int) -> int | None:
        """One of its own for each step, or all of them would begin alike."""
        seed = self.dialogue.sampling.seed
        return None if seed is None else (seed + number - 1) % _SEEDS

    async def _call(self, number: int, call: ToolCall) -> _Result:
        result = await execute(
            call,
            self.toolbox.tools,
            approve=self.toolbox.approve,
            max_result_chars=self.max_result_chars,
        )
        told = _Result(text=result.text, is_error=result.is_error)
        self.ctx.emit(
            ToolAnswered(number=number, name=call.name, result=told.text, is_error=told.is_error)
        )
        return told


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
