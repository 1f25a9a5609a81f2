"""The property behind `test_one_meaning`: of any class that pydantic can make."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import BaseModel

from messaging.backend import FROM_START
from messaging.bus import Bus
from messaging.errors import InvalidMessageError, UnfitClassError
from messaging.wire import envelope as envelopes
from messaging.wire import message as codec
from messaging.wire.decoding import Decoder
from messaging.wire.message import MessageRegistry
from tests.messaging.conftest import Site
from tests.messaging.wire.message_classes import messages

LONG = pytest.mark.long
KINDS = ("memory", "memory-strict", "external-redis")
EXAMPLES, MORE_EXAMPLES = 400, 800


class Trial:
    """The same message on three buses; what came of it has to be the same on each."""

    def __init__(self, buses: Sequence[Bus]) -> None:
        self._buses = buses
        self._last = dict.fromkeys(buses, FROM_START)
        self.accepted = self.refused = self.unfit = 0

    async def run(self, message: BaseModel) -> None:
        refusals = [await self._refusal(bus, message) for bus in self._buses]
        assert len({(type(each), str(each)) for each in refusals}) == 1, (message, refusals)
        if refusals[0] is not None:
            self.refused += 1
            return
        for bus in self._buses:
            arrived = await self._arrived(bus, message)
            assert type(arrived) is type(message), (message, arrived)
            assert arrived == message, (message, arrived)
        self.accepted += 1

    async def _refusal(self, bus: Bus, message: BaseModel) -> Exception | None:
        try:
            await bus.publish("notes", message)
        except (InvalidMessageError, UnfitClassError) as error:
            return error
        return None

    async def _arrived(self, bus: Bus, message: BaseModel) -> BaseModel:
        after = {"notes": self._last[bus]}
        (entry,) = await bus.backend.tail(after, max_count=2, wait_s=10)
        self._last[bus] = entry.position
        try:
            return Decoder(MessageRegistry(type(message))).read(entry.envelope)
        except InvalidMessageError as error:
            raise AssertionError(f"it was accepted and cannot be read: {message!r}") from error


def hold(url_of: Callable[[str], str], examples: int) -> Trial:
    """Put the property to `examples` messages."""
    with asyncio.Runner() as runner:
        sites = [Site(kind, "" if kind.startswith("memory") else url_of(kind)) for kind in KINDS]

        async def opened() -> list[Bus]:
            buses = [Bus(await site.open(), name="t", owns_backend=False) for site in sites]
            return [await bus.__aenter__() for bus in buses]

        trial = Trial(runner.run(opened()))

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        @given(messages())
        def check(message: BaseModel | UnfitClassError | None) -> None:
            if isinstance(message, UnfitClassError):
                trial.unfit += 1
            elif message is not None:
                runner.run(trial.run(message))

        async def closed() -> None:
            for bus in trial._buses:
                await bus.__aexit__(None, None, None)
            for site in sites:
                await site.close()

        try:
            check()
        finally:
            runner.run(closed())
    return trial


@pytest.mark.parametrize("examples", [EXAMPLES, pytest.param(MORE_EXAMPLES, marks=LONG)])
def test_what_is_accepted_arrives_equal_and_what_is_refused_is_refused_everywhere(
    url_of: Callable[[str], str], examples: int
) -> None:
    trial = hold(url_of, examples)

    assert min(trial.accepted, trial.refused, trial.unfit) > examples / 40, vars(trial)


def test_it_fails_where_messages_are_not_tried(
    url_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codec, "_try_to_read", lambda message, payload: None)

    with pytest.raises(AssertionError):
        hold(url_of, MORE_EXAMPLES)


def test_it_fails_where_messages_are_handed_over_unseen(
    url_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envelopes, "may_share", lambda message, models: True)

    with pytest.raises(AssertionError):
        hold(url_of, MORE_EXAMPLES)
