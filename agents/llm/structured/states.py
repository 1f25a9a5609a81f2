"""Plan, then act: an agent whose states, transitions and answers are enforced by grammars.

Each answer is one state: its name, what is said in it, its end. Which states may come next, and
what may be said in them, is a grammar for the model, so it cannot leave them. This is logic alone:
who asks the model, and what is done between two answers, is not decided here.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, model_validator

from agents.llm.structured.errors import ConstraintError, GrammarSyntaxError, ResultError
from agents.llm.structured.expression import (
    Characters,
    Expression,
    Lexeme,
    Literal,
    choice,
    inverted,
    overlap,
    ranges,
    repeat,
    sequence,
    without_lexemes,
)
from agents.llm.structured.grammar import Grammar, embedded
from agents.llm.structured.regex import TEXT
from agents.llm.structured.sources import (
    grammar_of_choice,
    grammar_of_lark,
    grammar_of_regex,
    grammar_of_schema,
)
from agents.llm.structured.tools import Tool, grammar_of_tools

_NO_TAG = Characters(overlap(TEXT.ranges, inverted(ranges([(ord("<"), ord("<"))]))))

StateName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ToolConfig(_Config):
    """A tool that may be called in a state.

    Attributes:
        name: what the call begins with.
        arguments: a JSON schema of an object.
    """

    name: str = Field(min_length=1)
    arguments: dict[str, Any] = {}


class StateConfig(_Config):
    """What may be said in a state, in exactly one of the ways, and what may come after it.

    Attributes:
        max_characters: free text of at most so many characters, without `<`.
        choice: one of these texts.
        regex: text that matches all of it.
        lark: text that the grammar describes.
        json_schema: JSON that is valid for it.
        tools: a call of one of them.
        next: the states that may follow; none after the last one.
    """

    max_characters: PositiveInt | None = None
    choice: tuple[str, ...] | None = None
    regex: str | None = None
    lark: str | None = None
    json_schema: dict[str, Any] | None = None
    tools: tuple[ToolConfig, ...] | None = None
    next: tuple[StateName, ...] = ()

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        ways = ("max_characters", "choice", "regex", "lark", "json_schema", "tools")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(ways)}, not {given or 'none'}")
        return self

    @property
    def is_delimited(self) -> bool:
        """Whether what is said ends where a tag begins, whatever it is."""
        return self.choice is None and self.regex is None and self.lark is None

    def grammar(self) -> Grammar:
        """What may be said."""
        if self.choice is not None:
            return grammar_of_choice(self.choice)
        if self.regex is not None:
            return grammar_of_regex(self.regex)
        if self.lark is not None:
            return grammar_of_lark(self.lark)
        if self.json_schema is not None:
            return grammar_of_schema(self.json_schema)
        if self.tools is not None:
            return grammar_of_tools([Tool(tool.name, tool.arguments) for tool in self.tools])
        return Grammar(Lexeme(repeat(_NO_TAG, 0, self.max_characters)), {}, name="text")


class MachineConfig(_Config):
    """States and the ways between them.

    Attributes:
        start: the first state.
        max_steps: answers after which the last state has been reached, whatever the model chooses.
        states: by name.
    """

    start: StateName
    max_steps: PositiveInt = 20
    states: dict[StateName, StateConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _leads_to_an_end(self) -> Self:
        for name, state in self.states.items():
            unknown = [other for other in state.next if other not in self.states]
            if unknown:
                raise ValueError(f"{name} leads to {unknown[0]!r}, which is no state")
        if self.start not in self.states:
            raise ValueError(f"start is {self.start!r}, which is no state")
        steps = self.steps_to_end()
        for name in sorted(self._reachable()):
            if name not in steps:
                raise ValueError(f"no last state can be reached from {name}")
        if steps[self.start] > self.max_steps:
            raise ValueError(
                f"the way to a last state takes {steps[self.start]} steps, but max_steps is "
                f"{self.max_steps}"
            )
        return self

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

    def _reachable(self) -> set[str]:
        seen = {self.start}
        todo = [self.start]
        while todo:
            for name in self.states[todo.pop()].next:
                if name not in seen:
                    seen.add(name)
                    todo.append(name)
        return seen


@dataclass(frozen=True)
class Said:
    """An answer: the state, the text in it and its value."""

    state: str
    text: str
    value: Any


class Machine:
    """The grammars of a configuration, each made once.

    Raises:
        SchemaError: what is to be said in a state cannot be enforced.
    """

    def __init__(self, config: MachineConfig) -> None:
        self.config = config
        self.steps_to_end = config.steps_to_end()
        self.contents = {name: state.grammar() for name, state in config.states.items()}
        self._grammars: dict[tuple[str, ...], Grammar] = {}

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a configuration.

        Raises:
            GrammarSyntaxError: it is no YAML, or no configuration of states.
        """
        try:
            return cls(MachineConfig.model_validate(yaml.safe_load(text)))
        except (yaml.YAMLError, ValidationError) as error:
            raise GrammarSyntaxError(f"no configuration of states: {error}") from error

    def grammar(self, states: tuple[str, ...]) -> Grammar:
        """Answers that are one of these states; parsed to `Said`."""
        if states not in self._grammars:
            rules: dict[str, Expression] = {}
            tagged = []
            for name in states:
                content, more = self._content(name)
                rules |= more
                tagged.append(sequence(Literal(f"<{name}>"), content, Literal(f"</{name}>")))
            self._grammars[states] = Grammar(choice(tagged), rules, self._parser(states), "state")
        return self._grammars[states]

    def _content(self, name: str) -> tuple[Expression, dict[str, Expression]]:
        content, rules = embedded(self.contents[name], f"{name}.")
        if not self.config.states[name].is_delimited:
            content = without_lexemes(content)
            rules = {rule: without_lexemes(body) for rule, body in rules.items()}
        return content, rules

    def _parser(self, states: tuple[str, ...]) -> Any:
        def parse(text: str) -> Said:
            for name in states:
                if text.startswith(f"<{name}>") and text.endswith(f"</{name}>"):
                    content = text[len(name) + 2 : -len(name) - 3]
                    return Said(name, content, self.contents[name].parse(content))
            raise ResultError(f"the answer is none of the states {', '.join(states)}", text)

        return parse


@dataclass
class Run:
    """One way through a machine: ask the model with `grammar`, then give `say` its answer."""

    machine: Machine
    said: list[Said] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        """Whether a last state has been said."""
        return bool(self.said) and not self.machine.config.states[self.said[-1].state].next

    @property
    def allowed(self) -> tuple[str, ...]:
        """The states that may come now, so that the last one is reached within the steps left."""
        config = self.machine.config
        left = config.max_steps - len(self.said)
        following = config.states[self.said[-1].state].next if self.said else (config.start,)
        return tuple(name for name in following if self.machine.steps_to_end[name] <= left)

    @property
    def grammar(self) -> Grammar:
        """What the model may answer now.

        Raises:
            ConstraintError: the run is finished.
        """
        if self.is_finished:
            raise ConstraintError("the run is finished; there is nothing left to say")
        return self.machine.grammar(self.allowed)

    def say(self, text: str) -> Said:
        """Take an answer and go to its state.

        Raises:
            ResultError: it is none that `grammar` allows.
        """
        said = self.grammar.parse(text)
        assert isinstance(said, Said)
        self.said.append(said)
        return said
