"""Handlers: their annotations are the contract."""

from typing import Any

import pytest
from pydantic import BaseModel

from guild.agent.agent import Agent, BaseAgentProps, handles
from guild.errors import HandlerError
from messaging.handling.context import Context
from messaging.wire.message import Message
from tests.guild.samples import Echo, EchoProps, Note, Ping, Plain, Pong


def test_a_contract_is_read_from_the_annotations() -> None:
    class Versatile(Agent):
        @handles(sends=[Note], answers=[Pong], emits=[Plain])
        async def one(self, message: Ping | Plain, ctx: Context) -> Pong | list[Note] | None: ...

        @handles
        def two(self, message: Note) -> None: ...

    one, two = Versatile.contracts.values()

    assert (one.method, one.accepts, one.returns) == ("one", (Ping, Plain), (Pong, Note))
    assert (one.sends, one.answers, one.emits) == ((Note,), (Pong,), (Plain,))
    assert one.takes_context
    assert (two.accepts, two.returns, two.takes_context) == ((Note,), (), False)
    assert set(Versatile.accepted()) == {Ping, Plain, Note}


def test_handlers_are_inherited_and_may_be_overridden() -> None:
    class Loud(Echo):
        @handles
        async def echo(self, ping: Ping) -> Note:
            return Note(text=ping.text)

    assert Echo.contracts["echo"].returns == (Pong,)
    assert Loud.contracts["echo"].returns == (Note,)
    assert Loud.properties_class is EchoProps


def test_properties_come_from_the_type_argument() -> None:
    class Bare(Agent):
        pass

    assert Bare.properties_class is BaseAgentProps
    assert Echo.properties_class is EchoProps
    assert Echo().properties == EchoProps()
    assert Echo(EchoProps(prefix=">")).properties.prefix == ">"


async def _no_message(self: Any) -> None: ...
async def _too_many(self: Any, a: Ping, b: Context, c: int) -> None: ...
async def _not_annotated(self: Any, a) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - the point
async def _context_not_annotated(self: Any, a: Ping, b) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN001 - the point
async def _no_return(self: Any, a: Ping): ...  # type: ignore[no-untyped-def] # noqa: ANN202 - the point
async def _generator(self: Any, a: Ping) -> Any:
    yield a


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (_no_message, "takes a message and, if it likes, a context"),
        (_too_many, "takes a message and, if it likes, a context"),
        (_not_annotated, "annotate 'a'"),
        (_context_not_annotated, "annotate 'b'"),
        (_no_return, "annotate what it returns"),
        (_generator, "yields"),
        (3, "is none"),
    ],
)
def test_a_handler_without_its_contract_is_refused_at_once(function: Any, text: str) -> None:
    with pytest.raises(HandlerError, match=text):
        handles(function)


def test_a_contract_that_makes_no_sense_is_refused_with_its_class() -> None:
    with pytest.raises(HandlerError, match=r"Wrong\.take: 'number' must be a message class"):

        class Wrong(Agent):
            @handles
            async def take(self, number: int) -> None: ...

    with pytest.raises(HandlerError, match="what it returns must be a message class, not str"):

        class Returns(Agent):
            @handles
            async def take(self, ping: Ping) -> str: ...

    with pytest.raises(HandlerError, match="annotate 'other' as Context"):

        class NoContext(Agent):
            @handles
            async def take(self, ping: Ping, other: Ping) -> None: ...

    with pytest.raises(HandlerError, match="first and second both handle Ping"):

        class Twice(Agent):
            @handles
            async def first(self, ping: Ping) -> None: ...

            @handles
            async def second(self, ping: Ping | Pong) -> None: ...


@pytest.mark.parametrize("base", [BaseModel, Message])
def test_a_handler_of_everything_is_refused(base: Any) -> None:
    async def take(self: Any, message: base) -> None: ...

    with pytest.raises(HandlerError, match="a message class of its own"):
        type("Wide", (Agent,), {"take": handles(take)})


def test_an_annotation_that_cannot_be_found_is_named() -> None:
    async def take(self: Any, message: "Missing") -> None: ...  # type: ignore[name-defined] # noqa: F821 - the point

    with pytest.raises(
        HandlerError, match=r"'Missing' is not to be found in tests\.guild\.agent\.test_agent"
    ):
        type("Lost", (Agent,), {"take": handles(take)})
