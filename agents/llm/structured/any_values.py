"""What arrays and objects need of the values within them."""

from typing import Any, Protocol

from agents.llm.structured.errors import UnsupportedKeywordError
from agents.llm.structured.expression import Expression
from agents.llm.structured.facts import Facts, Parts


class Values(Protocol):
    """Reads values of any type; `rules` are those of the whole grammar."""

    rules: dict[str, Expression]

    def value(self, parts: Parts) -> Expression:
        """A value for which all of `parts` hold."""
        ...

    def alternatives(self, parts: Parts) -> list[Facts]:
        """Facts of which one holds for each such value."""
        ...

    def finite(self, parts: Parts) -> list[Any] | None:
        """All such values, if the schema lists them."""
        ...

    def is_one_of(self, parts: Parts, value: Any) -> bool:
        """Whether `value` is such a value."""
        ...


def refuse_excluded(facts: Facts, kind: type) -> None:
    """Refuse schemas that exclude single arrays or objects."""
    for value in facts.not_values:
        if isinstance(value, kind):
            raise UnsupportedKeywordError(
                "not", "objects and arrays cannot be excluded one by one", path=facts.path
            )
