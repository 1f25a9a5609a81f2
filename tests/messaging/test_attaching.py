"""An observer that comes to an open bus and leaves it again: free before, and afterwards."""

from typing import Any

import pytest

from messaging.bus import Bus
from messaging.handling.failure_record import reason_of
from messaging.handling.retry import RetryPolicy
from messaging.handling.runner import HandlerRunner
from messaging.observing import Ending, Handling, Observer
from messaging.testing import Recorder, eventually, memory_bus
from messaging.wire.envelope import Envelope
from tests.messaging.buses import Ask, Gate, dead_letters, listening, open_bus, settled_all
from tests.messaging.conftest import Site
from tests.messaging.test_observing import (
    Broken,
    Witness,
    fail,
    site,
    test_a_handler_that_a_drain_breaks_off_is_interrupted,
    test_a_handler_that_swallows_that_it_is_broken_off_is_interrupted,
    test_a_handler_that_takes_too_long_has_ended_by_that,
    test_a_handling_is_begun_and_ended_with_what_begun_returned,
    test_a_handling_that_a_user_cancels_ends_cancelled,
    test_a_handling_whose_commit_is_refused_ends_once_more,
    test_a_handling_whose_state_was_changed_conflicts_and_begins_again,
    test_a_message_that_is_given_up_says_why,
    test_a_replica_that_was_taken_over_is_interrupted_and_begins_again,
    test_a_type_that_is_unknown_here_is_left_to_others_and_then_given_up,
    test_each_attempt_is_a_handling_of_its_own,
    test_what_comes_to_no_handler_ends_and_never_begins,
)

# What an observer of a bus is promised of handlings, one that was attached is promised, too.
__all__ = [
    "site",
    "test_a_handler_that_a_drain_breaks_off_is_interrupted",
    "test_a_handler_that_swallows_that_it_is_broken_off_is_interrupted",
    "test_a_handler_that_takes_too_long_has_ended_by_that",
    "test_a_handling_is_begun_and_ended_with_what_begun_returned",
    "test_a_handling_that_a_user_cancels_ends_cancelled",
    "test_a_handling_whose_commit_is_refused_ends_once_more",
    "test_a_handling_whose_state_was_changed_conflicts_and_begins_again",
    "test_a_message_that_is_given_up_says_why",
    "test_a_replica_that_was_taken_over_is_interrupted_and_begins_again",
    "test_a_type_that_is_unknown_here_is_left_to_others_and_then_given_up",
    "test_each_attempt_is_a_handling_of_its_own",
    "test_what_comes_to_no_handler_ends_and_never_begins",
]


class Afterwards(Observer):
    """Tells another of a beginning when it is over: one that is attached hears of ends alone."""

    def __init__(self, other: Observer) -> None:
        self._other = other

    def ended(self, handling: Handling, ending: Ending, token: Any) -> None:
        assert token is None
        begun = None if ending.handled_s is None else self._other.begun(handling)
        self._other.ended(handling, ending, begun)


@pytest.fixture(autouse=True)
def attached_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bus would be given is attached to it."""
    make = Bus.__init__

    def without(self: Bus, *parts: Any, observer: Any = None, **options: Any) -> None:
        make(self, *parts, **options)
        if observer is not None:
            self.attach(Afterwards(observer))

    monkeypatch.setattr(Bus, "__init__", without)


def runners(bus: Bus) -> list[HandlerRunner]:
    return [running._replica._runner for running in bus._running]


def is_watched(runner: HandlerRunner) -> bool:
    return runner._begin is not None


async def test_it_sees_what_begins_while_it_is_there(site: Site) -> None:
    witness, recorder = Witness(), Recorder()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", recorder))
        for number in range(3):
            if number == 1:
                bus.attach(witness)
            if number == 2:
                bus.detach(witness)
            await bus.publish("asks", Ask(text=str(number)))
            await settled_all(bus, "reader")

        texts = [message.text for message in await recorder.messages(3)]  # type: ignore[attr-defined]

    assert texts == ["0", "1", "2"]
    assert witness.outcomes == ["handled"]
    assert witness.out == []


async def test_without_one_no_handling_is_observed(site: Site) -> None:
    witness, other = Witness(), Witness()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        assert not any(map(is_watched, runners(bus)))
        bus.attach(witness)
        bus.attach(other)
        await bus.subscribe(listening("later", Recorder()))
        assert [is_watched(each) for each in runners(bus)] == [True] * 2

        bus.detach(witness)
        assert all(map(is_watched, runners(bus)))
        bus.detach(other)
        bus.detach(other)
        assert not any(map(is_watched, runners(bus)))


async def test_what_is_under_way_when_it_comes_or_goes_is_not_told(site: Site) -> None:
    witness, gate = Witness(), Gate()
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", gate))
        for comes in (True, False):
            gate.opened.clear()
            await bus.publish("asks", Ask(text="x"))
            await eventually(lambda: len(gate.started) == 1 + (not comes))  # noqa: B023
            (bus.attach if comes else bus.detach)(witness)
            gate.opened.set()
            await settled_all(bus, "reader")
        assert witness.ends == []

        bus.attach(witness)
        await bus.publish("asks", Ask(text="y"))
        assert (await witness.last()).outcome == "handled"


async def test_what_a_runner_remembers_of_a_message_outlives_the_look_at_it(site: Site) -> None:
    """The attempts of a message that is tried in its place are kept in the process."""
    witness = Witness()
    patience = RetryPolicy(attempts=3, backoff_s=0.05, jitter=0.0)
    async with open_bus(site) as bus:
        await bus.subscribe(listening("reader", fail, ordered_by="text", retry=patience))
        await bus.publish("asks", Ask(text="x"))
        await eventually(lambda: any(runner._settlements._histories for runner in runners(bus)))
        bus.attach(witness)
        await witness.last()
        bus.detach(witness)
        (letter,) = await dead_letters(bus)

    kept = [attempt.number for attempt in reason_of(letter).attempts]
    assert kept == [1, 2, 3]


async def test_beside_an_observer_of_the_bus_both_see_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # that one is given to the bus
    own, attached = Witness("t-1"), Witness()
    async with memory_bus(Ask, observer=own) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        bus.attach(attached)
        await bus.publish("asks", Ask(text="x"))
        await attached.last()
        bus.detach(attached)
        await bus.publish("asks", Ask(text="y"))
        await own.last(2)

    assert (own.outcomes, attached.outcomes) == (["handled"] * 2, ["handled"])
    assert [token for _, _, token in own.ends] == [1, 2]
    assert {handling.envelope.trace for handling, _, _ in attached.ends} == {"t-1"}


async def test_beside_an_observer_that_wants_little_it_sees_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()  # that one is given to the bus

    class Choosy(Witness):
        def wants(self, envelope: Envelope) -> bool:
            return False

    own, attached = Choosy(), Witness()
    async with memory_bus(Ask, observer=own) as bus:
        await bus.subscribe(listening("reader", Recorder()))
        bus.attach(attached)
        await bus.publish("asks", Ask(text="x"))
        await attached.last()
        bus.detach(attached)
        await bus.publish("asks", Ask(text="y"))
        await settled_all(bus, "reader")

    assert attached.outcomes == ["handled"]
    assert own.outcomes == ["handled"]  # what another wants is told to all


async def test_one_that_raises_harms_nothing(site: Site) -> None:
    witness = Witness()
    async with open_bus(site) as bus:
        bus.attach(Broken())
        bus.attach(witness)
        running = await bus.subscribe(listening("reader", Recorder()))
        await bus.publish("asks", Ask(text="x"))
        await witness.last()
        await settled_all(bus, "reader")
        assert not running.done
