"""Which of the deliveries at hand is next."""

from messaging.backend import Delivery
from messaging.consuming.ready_queue import MOST_PASSED, ReadyQueue
from messaging.wire.envelope import Envelope


def delivery(number: int, priority: int = 0) -> Delivery:
    envelope = Envelope(f"{number:032x}", "Note", 1, "notes", b"", priority=priority)
    return Delivery(envelope, ("notes", str(number)))


def order_of(ready: ReadyQueue) -> list[int]:
    return [int(ready.take().position) for _ in range(ready.count)]


def test_the_highest_priority_comes_first_and_equals_in_order() -> None:
    ready = ReadyQueue()
    for number, priority in enumerate((0, -1, 5, 0, 5, 9)):
        ready.put([delivery(number, priority)])

    assert order_of(ready) == [5, 2, 4, 0, 3, 1]
    assert not ready.count


def test_what_is_put_first_comes_before_its_equals_alone() -> None:
    ready = ReadyQueue()
    ready.put([delivery(1)])
    ready.put([delivery(2, 5)])
    ready.put_first(delivery(3))

    assert order_of(ready) == [2, 3, 1]


def test_urgent_work_that_never_ends_does_not_starve_the_rest() -> None:
    ready = ReadyQueue()
    ready.put([delivery(0, -5)])
    ready.put([delivery(1)])
    taken = []
    for number in range(2, 2 + 3 * MOST_PASSED):
        ready.put([delivery(number, 5)])
        taken.append(int(ready.take().position))

    assert taken.index(0) == MOST_PASSED
    assert taken.index(1) == 2 * MOST_PASSED + 1
