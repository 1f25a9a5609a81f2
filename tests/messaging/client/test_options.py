"""The options of publishing: described once, and shown wherever they may be given."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from guild.client import GuildClient
from messaging.bus import Bus, connect
from messaging.client.options import PublishManyOptions, PublishOptions
from messaging.client.publisher import Publisher
from messaging.wire.envelope import new_id
from messaging.wire.message import Message

ONE = [*PublishOptions.__annotations__]
MANY = [*PublishManyOptions.__annotations__]


class Note(Message):
    text: str


def keywords_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [each for each in parameters if each.kind is each.KEYWORD_ONLY]


@pytest.mark.parametrize(
    ("function", "names"),
    [(Bus.publish, ONE), (Bus.publish_many, MANY), (GuildClient.publish, ONE)],
)
def test_each_option_is_shown_with_its_default_and_what_it_means(
    function: Callable[..., Any], names: list[str]
) -> None:
    defaults = {each.name: each.default for each in keywords_of(Publisher.publish)}

    shown = keywords_of(function)

    assert [each.name for each in shown] == names
    assert {each.name: each.default for each in shown} == {name: defaults[name] for name in names}
    assert all(f"\n    {name}: " in inspect.getdoc(function) for name in names)  # type: ignore[operator]


def test_the_publisher_takes_the_options_that_are_described_and_no_others() -> None:
    taken = {each.name: each.annotation for each in keywords_of(Publisher.publish)}

    assert taken == PublishOptions.__annotations__


async def test_an_option_that_there_is_not_is_named_and_nothing_is_published() -> None:
    async with connect() as bus:
        unknown: Any = {"prioriti": 1}
        with pytest.raises(TypeError, match=r"^publish\(\) got an unexpected keyword .*'prioriti'"):
            await bus.publish("notes", Note(text="a"), **unknown)
        one_only: Any = {"message_id": new_id()}
        with pytest.raises(TypeError, match="message_id, which is for one message"):
            await bus.publish_many("notes", [Note(text="a"), Note(text="b")], **one_only)

        assert await bus.backend.topics() == []


@pytest.mark.parametrize("wrong", [{"delay_s": -1.0}, {"priority": 500}])
async def test_options_that_cannot_be_are_refused_though_there_is_nothing_to_publish(
    wrong: Any,
) -> None:
    async with connect() as bus:
        with pytest.raises(ValueError, match=r"delay|priority"):
            await bus.publish_many("notes", [], **wrong)
