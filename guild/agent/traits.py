"""Three traits that together let the writer of an agent's input take its data away.

private     It reads what some who can make it act may not see: files of its owner, a mailbox, a
            database, secrets. What comes in its messages does not count: the sender has it.
untrusted   What others wrote steers what it does: a language model chooses its calls by what it
            reads, or it runs commands and code that come as data. A handler that does one thing
            with the fields of a message is not steered, whoever fills them in.
way_out     What it has can leave for a place that its input may name: a command with a network, a
            request to any address, a mail. A server that the operator chose, such as that of a
            language model or an index of packages, does not count; nor do messages of the guild.

Each is a few words that say why an agent has it, "" where it does not. An agent that has all three
is refused before anything starts, unless it asks a person first (`asks`) each time before the input
is followed or the way is used, and does nothing without an answer. `guild.checking.trait_checks`
warns of agents that have all three between them.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from guild.asking import AskFirst

MARK = "__guild_traits__"


class Traits(NamedTuple):
    """What an agent, or a resource that it uses, can do; see the module."""

    private: str = ""
    untrusted: str = ""
    way_out: str = ""
    asks: bool = False

    @property
    def are_dangerous(self) -> bool:
        return bool(self.private and self.untrusted and self.way_out) and not self.asks


NO_TRAITS = Traits()


def joined(several: Iterable[Traits]) -> Traits:
    """What one agent can do by all of them together."""
    *words, asks = zip(*several, strict=True)
    private, untrusted, way_out = (next(filter(None, each), "") for each in words)
    return Traits(private, untrusted, way_out, any(asks))


def asks_first(approvals: AskFirst | None) -> bool:
    """Whether these properties put a person in between, without whose answer nothing is done."""
    return approvals is not None and approvals.default == "reject"


def with_traits(
    tell: Callable[[Any], Traits],
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say what agents can do that use a resource, by the properties that its factory is given."""

    def mark(factory: Callable[..., Any]) -> Callable[..., Any]:
        setattr(factory, MARK, tell)
        return factory

    return mark


def traits_of_resource(factory: Callable[..., Any], properties: Any) -> Traits:
    """What agents can do by the resource that `factory` makes of `properties`."""
    tell: Callable[[Any], Traits] | None = getattr(factory, MARK, None)
    return NO_TRAITS if tell is None else tell(properties)
