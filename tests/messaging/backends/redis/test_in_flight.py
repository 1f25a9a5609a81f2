"""The life of a delivery in one consumer, from the answer that brought it to its settlement."""

from collections.abc import Sequence

import pytest

from messaging.backend import Delivery, Settlement
from messaging.backends.redis.claim_check import ClaimCheck
from messaging.backends.redis.connection.connection import Connection
from messaging.backends.redis.connection.endpoint import Endpoint
from messaging.backends.redis.consumer.in_flight import InFlight
from tests.messaging.notes import note, settled


class Nowhere:
    """An address that is never dialled."""

    async def resolve(self) -> Endpoint:
        raise AssertionError


@pytest.fixture
async def connection() -> Connection:
    return Connection(Nowhere(), give_up_after_s=1, reply_timeout_s=1)


@pytest.fixture
def in_flight(connection: Connection) -> InFlight:
    return InFlight(connection)


def lent(*numbers: int) -> list[Delivery]:
    return [Delivery(note(f"{n}"), ("notes", f"{n}-0")) for n in numbers]


def claimed(number: int) -> Delivery:
    envelope = note(f"{number}")._replace(payload=ClaimCheck(b"100000"))
    return Delivery(envelope, ("notes", f"{number}-0"))


def positions(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.position for delivery in deliveries]


def test_what_is_handed_on_is_held_until_it_is_settled(in_flight: InFlight) -> None:
    in_flight.add(lent(1, 2), are_whole=True)
    assert not in_flight.begin_to_settle(settled(in_flight.buffer))  # nobody has it yet

    held = in_flight.hand_on(10)
    assert in_flight.begin_to_settle(settled(held))
    in_flight.settled()

    assert in_flight.places() == set()
    assert not in_flight.begin_to_settle(settled(held))


def test_nothing_is_settled_twice_in_one_commit(in_flight: InFlight) -> None:
    in_flight.add(lent(1))
    held = in_flight.hand_on(1)

    assert not in_flight.begin_to_settle(settled([*held, *held]))
    assert in_flight.begin_to_settle(settled(held))


def test_what_a_commit_leaves_out_is_held_as_before(in_flight: InFlight) -> None:
    in_flight.add(lent(1, 2))
    first, second = settled(in_flight.hand_on(2))
    assert in_flight.begin_to_settle([first, second])

    in_flight.settled([second])

    assert not in_flight.begin_to_settle([first])
    assert in_flight.begin_to_settle([second])


def test_what_a_commit_that_failed_had_begun_to_settle_may_be_settled_again(
    in_flight: InFlight,
) -> None:
    in_flight.add(lent(1, 2))
    first, second = settled(in_flight.hand_on(2))
    assert in_flight.begin_to_settle([first, second])
    assert in_flight.surely_lent() == set()  # nobody knows whether it was settled

    assert in_flight.begin_to_settle([first])

    assert in_flight.surely_lent() == {second.delivery.place}


def test_only_what_comes_before_a_missing_payload_is_handed_on(in_flight: InFlight) -> None:
    in_flight.add([*lent(1), claimed(2), *lent(3)])
    in_flight.add(lent(4), are_whole=True)

    assert positions(in_flight.hand_on(10)) == ["1-0"]
    assert in_flight.hand_on(10) == []

    in_flight.redeemed(lent(2))
    assert positions(in_flight.hand_on(10)) == ["2-0", "3-0", "4-0"]


def test_what_is_handed_on_while_payloads_are_fetched_does_not_come_back(
    in_flight: InFlight,
) -> None:
    in_flight.add([*lent(1), claimed(2)])
    before = [*in_flight.buffer]
    in_flight.hand_on(1)
    in_flight.add(lent(3))

    in_flight.redeemed([before[0], *lent(2)])

    assert positions(in_flight.hand_on(10)) == ["2-0", "3-0"]


def test_what_nobody_was_there_to_take_is_handed_on_later(in_flight: InFlight) -> None:
    taken_over = lent(1)
    in_flight.hold(taken_over)

    in_flight.put_back(taken_over)

    assert not in_flight.begin_to_settle(settled(taken_over))
    assert in_flight.hand_on(1) == taken_over


def test_the_oldest_come_first_when_sorted(in_flight: InFlight) -> None:
    in_flight.add([*lent(10), claimed(9), *lent(2)])

    in_flight.sort()

    assert positions(in_flight.hand_on(10)) == ["2-0"]


@pytest.mark.parametrize("ends_by", ["being lent again", "being settled"])
def test_what_came_by_an_earlier_connection_is_not_sure(
    in_flight: InFlight, connection: Connection, ends_by: str
) -> None:
    in_flight.add(lent(1, 2, 3))
    held = in_flight.hand_on(2)
    connection.generation += 1
    assert in_flight.surely_lent() == set()
    assert in_flight.begin_to_settle(settled(held[:1]))
    assert in_flight.settling_lent_in == -1

    if ends_by == "being settled":
        in_flight.settled()
        assert in_flight.unverified == {("notes", "2-0"), ("notes", "3-0")}
    else:
        assert positions(in_flight.verify(lent(1, 2, 3, 4))) == ["4-0"]
        assert in_flight.unverified == set()
        assert in_flight.surely_lent() == {("notes", "2-0"), ("notes", "3-0")}  # 1 is settling


def test_what_comes_by_the_new_connection_is_sure(
    in_flight: InFlight, connection: Connection
) -> None:
    in_flight.add(lent(1))
    in_flight.hand_on(1)
    connection.generation += 1
    in_flight.mark_unverified()
    in_flight.add(lent(2))
    fresh: list[Settlement] = settled(in_flight.hand_on(1))

    assert in_flight.begin_to_settle(fresh)

    assert in_flight.settling_lent_in == connection.generation
