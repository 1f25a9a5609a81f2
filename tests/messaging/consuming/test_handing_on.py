"""What a message becomes in its partition."""

import pytest

from messaging.backend import Delivery
from messaging.consuming.partitions import handed_on
from messaging.state.timers import arm, disarm, is_timer
from messaging.wire.envelope import Envelope
from tests.messaging.notes import note


def moved(envelope: Envelope, *, redelivery_count: int = 0, count: int = 8) -> Envelope:
    return handed_on(
        Delivery(envelope, (envelope.topic, "1-0"), redelivery_count), "workers", "key", count
    )


@pytest.mark.parametrize(
    ("key", "number"), [("a", 3), ("order-1", 7), ("order-2", 5), ("żółw", 6), ("\ud800", 0)]
)
def test_a_key_has_the_same_partition_in_every_process_and_release(key: str, number: int) -> None:
    assert moved(note("one")._replace(key=key)).topic == f"_partition.workers.{number}"


def test_messages_without_a_key_are_spread() -> None:
    topics = {moved(note(str(number))).topic for number in range(200)}

    assert len(topics) == 8


def test_what_is_new_is_known_as_new_and_by_its_topic() -> None:
    envelope = moved(note("one"))

    assert (envelope.published_to, envelope.was_handled) == ("notes", False)


@pytest.mark.parametrize(
    ("envelope", "redelivery_count"),
    [
        (note("requeued", "_retry.workers")._replace(origin="notes"), 0),
        (note("tried")._replace(attempt=2), 0),
        (note("begun by whoever handled before there were partitions"), 1),
    ],
)
def test_what_may_have_been_handled_is_known_as_such(
    envelope: Envelope, redelivery_count: int
) -> None:
    there = moved(envelope, redelivery_count=redelivery_count)

    assert (there.published_to, there.was_handled) == ("notes", True)
    assert moved(there).published_to == "notes"


@pytest.mark.parametrize("redelivery_count", [0, 2])
def test_a_timer_keeps_its_name(redelivery_count: int) -> None:
    there = moved(arm(note("ring"), "wake-up", "workers"), redelivery_count=redelivery_count)

    assert is_timer(there)
    rung, name = disarm(there)
    assert (rung.topic, name) == ("notes", "wake-up")
