"""States, what may be said in each, and the ways between them: plain data, as YAML has it.

`agents.llm.structured.states` makes grammars of it.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from agents._suggest import did_you_mean

StateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

Place = tuple[str | int, ...]

_WAYS = ("max_characters", "choice", "regex", "lark", "json_schema", "tools")


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ToolConfig(_Config):
    """A tool that may be called in a state.

    Attributes:
        name: what the call begins with.
        arguments: a JSON schema of an object. None: what the function takes, or any object where
            no function is known.
    """

    name: str = Field(min_length=1)
    arguments: dict[str, Any] | None = None


class StateConfig(_Config):
    """What may be said in a state, in exactly one of the ways, and what may come after it.

    Attributes:
        instruction: what the model is told of the state.
        max_characters: free text of at most so many characters, without `<`.
        choice: one of these texts.
        regex: text that matches all of it.
        lark: text that the grammar describes.
        json_schema: JSON that is valid for it.
        tools: a call of one of them.
        next: the states that may follow; none after the last one.
    """

    instruction: str = Field(default="", max_length=4000)
    max_characters: PositiveInt | None = None
    choice: tuple[str, ...] | None = None
    regex: str | None = None
    lark: str | None = None
    json_schema: dict[str, Any] | None = None
    tools: tuple[ToolConfig, ...] | None = None
    next: tuple[StateName, ...] = ()

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        given = [way for way in _WAYS if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(_WAYS)}, not {given or 'none'}")
        return self

    @property
    def way(self) -> str:
        """The name of the one that is given."""
        return next(way for way in _WAYS if getattr(self, way) is not None)

    @property
    def is_delimited(self) -> bool:
        """Whether what is said ends where a tag begins, whatever it is."""
        return self.choice is None and self.regex is None and self.lark is None


class MachineConfig(_Config):
    """States and the ways between them.

    Attributes:
        start: the first state.
        max_steps: answers after which the last state has been reached, whatever the model chooses.
        states: by name.
    """

    start: StateName
    max_steps: PositiveInt = Field(default=20, le=1000)
    states: dict[StateName, StateConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _leads_to_an_end(self) -> Self:
        problems = list(self._unknown_states()) or list(self._ways_without_end())
        if problems:
            raise misplaced(type(self).__name__, dict(problems))
        return self

    def with_arguments(self, schemas: Mapping[str, Mapping[str, Any]]) -> "MachineConfig":
        """The same, with these schemas for the tools that have none, by their names."""

        def known(tool: ToolConfig) -> ToolConfig:
            if tool.arguments is not None or tool.name not in schemas:
                return tool
            return tool.model_copy(update={"arguments": dict(schemas[tool.name])})

        states = {
            name: state.model_copy(update={"tools": tuple(map(known, state.tools))})
            if state.tools is not None
            else state
            for name, state in self.states.items()
        }
        return self.model_copy(update={"states": states})

    def steps_to_end(self) -> dict[str, int]:
        """Answers until a last state has been said, by the state they begin with."""
        steps = {name: 1 for name, state in self.states.items() if not state.next}
        todo = deque(steps)
        while todo:
            reached = todo.popleft()
            for name, state in self.states.items():
                if reached in state.next and name not in steps:
                    steps[name] = steps[reached] + 1
                    todo.append(name)
        return steps

    def _unknown_states(self) -> Iterator[tuple[Place, str]]:
        if self.start not in self.states:
            yield ("start",), f"start is {self._no_state(self.start)}"
        for name, state in self.states.items():
            for index, other in enumerate(state.next):
                if other not in self.states:
                    place = ("states", name, "next", index)
                    yield place, f"{name} leads to {self._no_state(other)}"

    def _no_state(self, name: str) -> str:
        return f"{name!r}, which is no state{did_you_mean(name, self.states)}"

    def _ways_without_end(self) -> Iterator[tuple[Place, str]]:
        steps = self.steps_to_end()
        for name in sorted(self._reachable() - steps.keys()):
            yield ("states", name, "next"), f"no last state can be reached from {name}"
        if steps.get(self.start, 0) > self.max_steps:
            text = f"the way to a last state takes {steps[self.start]} steps, but max_steps is "
            yield ("max_steps",), f"{text}{self.max_steps}"

    def _reachable(self) -> set[str]:
        seen = {self.start}
        todo = [self.start]
        while todo:
            for name in self.states[todo.pop()].next:
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen


def misplaced(title: str, problems: Mapping[Place, str]) -> ValidationError:
    """What validators raise that know the place of what is wrong."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(
                type=PydanticCustomError("refused", "{text}", {"text": text}), loc=place, input=None
            )
            for place, text in problems.items()
        ],
    )
