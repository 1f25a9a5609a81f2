"""Plan, then act: an agent whose states, transitions and answers are enforced by grammars.

Each answer is one state: its name, what is said in it, its end. Which states may come next, and
what may be said in them, is a grammar for the model, so it cannot leave them. This is logic alone:
who asks the model, and what is done between two answers, is not decided here.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import yaml
from pydantic import ValidationError

from agents.llm.stateful.config import MachineConfig, Place, StateConfig, ToolConfig
from agents.llm.structured.errors import (
    ConstraintError,
    GrammarSyntaxError,
    ResultError,
    SchemaError,
)
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


def grammar_of_state(state: StateConfig) -> Grammar:
    """What may be said in a state.

    Raises:
        SchemaError: it cannot be enforced.
    """
    if state.choice is not None:
        return grammar_of_choice(state.choice)
    if state.regex is not None:
        return grammar_of_regex(state.regex)
    if state.lark is not None:
        return grammar_of_lark(state.lark)
    if state.json_schema is not None:
        return grammar_of_schema(state.json_schema)
    if state.tools is not None:
        return grammar_of_tools([_tool(tool) for tool in state.tools])
    return Grammar(Lexeme(repeat(_NO_TAG, 0, state.max_characters)), {}, name="text")


def refusals(config: MachineConfig) -> Iterator[tuple[Place, SchemaError]]:
    """What of a configuration cannot be enforced, each with its place in it."""
    for name, state in config.states.items():
        place: Place = ("states", name, state.way)
        wrong_tools = False
        for index, tool in enumerate(state.tools or ()):
            try:
                _tool(tool).grammar.check()
            except SchemaError as error:
                wrong_tools = True
                yield (*place, index, "arguments"), error
        if wrong_tools:
            continue
        try:
            grammar_of_state(state).check()
        except SchemaError as error:
            yield place, error


def _tool(config: ToolConfig) -> Tool:
    return Tool(config.name, config.arguments or {})


@dataclass(frozen=True)
class Said:
    """An answer: the state, the text in it and its value."""

    state: str
    text: str
    value: Any

    @property
    def written(self) -> str:
        """As the model wrote it."""
        return f"<{self.state}>{self.text}</{self.state}>"


class Machine:
    """The grammars of a configuration, each made once.

    Raises:
        SchemaError: what is to be said in a state cannot be enforced.
    """

    def __init__(self, config: MachineConfig) -> None:
        self.config = config
        self.steps_to_end = config.steps_to_end()
        self.contents = {name: grammar_of_state(state) for name, state in config.states.items()}
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
            ResultError: `grammar` does not allow it.
        """
        said = self.grammar.parse(text)
        assert isinstance(said, Said)
        self.said.append(said)
        return said
