"""Backends with one line taken out fail the test of the promise which that line keeps."""

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)

import pytest

from messaging.backend import Backend, Delivery, Settlement, StateWrite
from messaging.backends.memory.group import Group, Partition
from messaging.backends.memory.log import Log
from messaging.backends.memory.positions import position_at
from messaging.backends.memory.store import Store
from messaging.backends.memory.turns import Queues
from messaging.wire.envelope import Envelope
from tests.messaging.backends import test_backend_conformance_commit as commit
from tests.messaging.backends import test_backend_conformance_delivery as delivery
from tests.messaging.backends import test_backend_conformance_journal as journal
from tests.messaging.backends import test_backend_conformance_limits as limits
from tests.messaging.backends import test_backend_conformance_partitions as partitions
from tests.messaging.backends import test_backend_conformance_positions as positions
from tests.messaging.backends import test_backend_conformance_state as state
from tests.messaging.backends import test_backend_conformance_takeover as takeover
from tests.messaging.backends import test_backend_conformance_turns as turns
from tests.messaging.conftest import Site

Mutate = Callable[[pytest.MonkeyPatch], None]


def without_fence(patch: pytest.MonkeyPatch) -> None:
    lend = Group.take_over

    def take_over(self: Group, victim: str, heir: str, *how: int) -> list[Delivery]:
        beats = self.beats[victim]
        lent = lend(self, victim, heir, *how)
        self.beats[victim] = beats
        self.held.setdefault(victim, {})
        return lent

    patch.setattr(Group, "take_over", take_over)


def without_holder(patch: pytest.MonkeyPatch) -> None:
    def lookup(self: Group, incarnation: str, deliveries: object) -> None:
        for held in self.held.values():
            self.held[incarnation] = {**held, **self.held[incarnation]}

    patch.setattr(Group, "check_held", lookup)


def one_settlement_at_a_time(patch: pytest.MonkeyPatch) -> None:
    whole = Store.commit

    def piecemeal(
        self: Store, group: Group, incarnation: str, settlements: Sequence[Settlement]
    ) -> list[int]:
        outdated: list[int] = []
        for index, settlement in enumerate(settlements):
            outdated += [index] * len(whole(self, group, incarnation, [settlement]))
        return outdated

    patch.setattr(Store, "commit", piecemeal)


def room_checked_while_writing(patch: pytest.MonkeyPatch) -> None:
    check, put = Store._check_room, Store._put

    def checked_put(self: Store, envelope: Envelope) -> None:
        check(self, {envelope.topic: 1})
        put(self, envelope)

    patch.setattr(Store, "_check_room", lambda self, counts: None)
    patch.setattr(Store, "_put", checked_put)


def state_written_in_spite_of_its_version(patch: pytest.MonkeyPatch) -> None:
    write = Group.write_state

    def forced(self: Group, writes: Sequence[StateWrite]) -> bool:
        present = [self.state.get(one.key) for one in writes]
        versions = [value.version if value else 0 for value in present]
        return write(
            self,
            [one._replace(expected_version=v) for one, v in zip(writes, versions, strict=True)],
        )

    patch.setattr(Group, "write_state", forced)


def trimmed_by_number(patch: pytest.MonkeyPatch) -> None:
    def drop(self: Log, keep: int, oldest_id: str = "") -> int:
        dropped = max(0, len(self.entries) - keep)
        for _ in range(dropped):
            self.entries.popleft()
        return dropped

    patch.setattr(Log, "_drop_settled", drop)


def without_soft_limit(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "is_crowded", lambda self, topic: False)


def never_told_of_room(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "_tell_of_room", lambda self, topic: None)
    patch.setattr("tests.messaging.backends.test_backend_conformance_limits.PATIENCE_S", 0.1)


def given_back_at_the_end(patch: pytest.MonkeyPatch) -> None:
    def leave(self: Group, incarnation: str, unhandled: Sequence[object]) -> None:
        self.ready.extend(self.held.pop(incarnation).values())
        del self.beats[incarnation]

    patch.setattr(Group, "leave", leave)


def not_counted(patch: pytest.MonkeyPatch) -> None:
    lend = Group.take_over
    patch.setattr(
        Group,
        "take_over",
        lambda self, victim, heir, *how: [
            one._replace(redelivery_count=0) for one in lend(self, victim, heir, *how)
        ],
    )


def journalled_without_fence(patch: pytest.MonkeyPatch) -> None:
    def forced(self: Store, group: Group, incarnation: str, write: StateWrite) -> int:
        group.write_state((write,))
        return group.state[write.key].version

    patch.setattr(Store, "journal", forced)


def everybody_leads(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Group, "lead", lambda self, incarnation: True)


def one_partition_for_all(patch: pytest.MonkeyPatch) -> None:
    find = Group.partition
    patch.setattr(Group, "partition", lambda self, number: find(self, 0))


def state_by_partition(patch: pytest.MonkeyPatch) -> None:
    make = Partition.__init__

    def apart(self: Partition, whole: Group, number: int) -> None:
        make(self, whole, number)
        self.state = {}

    patch.setattr(Partition, "__init__", apart)
    patch.setattr(Partition, "write_state", Group.write_state)


def disbanded_without_its_partitions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Group, "disband", lambda self: self.beats.clear())


def turns_that_bind_nobody(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Queues, "may_write", lambda self, incarnation, key: True)


def turns_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Queues, "used", lambda self, incarnation, key: None)


def turns_of_the_dead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Group, "_counts", lambda self, incarnation: True)


def turns_taken_one_by_one(patch: pytest.MonkeyPatch) -> None:
    whole = Queues.take

    def take(self: Queues, handling: tuple[str, str], keys: Sequence[str]) -> bool:
        taken = [whole(self, handling, [key]) for key in keys]
        return all(taken)

    patch.setattr(Queues, "take", take)


def every_moment_is_now(patch: pytest.MonkeyPatch) -> None:
    def positions_at(self: Store, topics: Collection[str], at: float) -> Mapping[str, str]:
        return dict.fromkeys(topics, self._last_position)

    patch.setattr(Store, "positions_at", positions_at)


def positions_ahead_of_the_clock(patch: pytest.MonkeyPatch) -> None:
    def positions_at(self: Store, topics: Collection[str], at: float) -> Mapping[str, str]:
        return dict.fromkeys(topics, position_at(at))

    patch.setattr(Store, "positions_at", positions_at)


def ages_of_what_was_not_lent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Group, "owed", lambda self: iter(self.ready))


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site("memory", "")
    yield site
    await site.close()


@pytest.fixture
def mutation() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.mark.parametrize(
    ("mutate", "proof"),
    [
        (without_fence, commit.test_a_zombie_cannot_commit_even_what_nobody_has_taken_yet),
        (without_fence, takeover.test_a_zombie_can_neither_read_nor_beat_nor_take_over),
        (without_holder, commit.test_what_another_consumer_holds_cannot_be_settled),
        (
            room_checked_while_writing,
            commit.test_a_commit_whose_output_is_full_writes_nothing_of_any_settlement,
        ),
        (
            one_settlement_at_a_time,
            commit.test_a_commit_whose_output_is_full_writes_nothing_of_any_settlement,
        ),
        (
            one_settlement_at_a_time,
            commit.test_a_commit_with_an_envelope_past_the_cap_writes_nothing,
        ),
        (
            state_written_in_spite_of_its_version,
            state.test_a_version_conflict_skips_exactly_that_settlement,
        ),
        (journalled_without_fence, journal.test_a_zombies_journal_is_refused_and_writes_nothing),
        (trimmed_by_number, limits.test_trimming_keeps_what_waits),
        (
            without_soft_limit,
            limits.test_past_the_soft_limit_a_publisher_waits_until_the_group_that_lags_catches_up,
        ),
        (
            never_told_of_room,
            limits.test_past_the_soft_limit_a_publisher_waits_until_the_group_that_lags_catches_up,
        ),
        (given_back_at_the_end, takeover.test_who_leaves_gives_back_in_order_and_uncounted),
        (not_counted, takeover.test_a_takeover_lends_what_was_held_and_counts_it),
        (
            everybody_leads,
            partitions.test_each_partition_has_its_own_members_leader_and_fence,
        ),
        (
            one_partition_for_all,
            partitions.test_what_lies_in_a_partition_is_lent_to_its_own_consumers_alone,
        ),
        (turns_that_bind_nobody, turns.test_during_a_turn_others_write_nothing_at_its_key),
        (
            turns_without_end,
            turns.test_the_turn_is_over_with_the_commit_and_the_next_in_the_queue_has_it,
        ),
        (turns_without_end, turns.test_what_is_left_out_has_used_its_turn),
        (turns_of_the_dead, turns.test_a_turn_ends_with_its_consumer),
        (turns_taken_one_by_one, turns.test_queues_for_several_keys_are_entered_at_once),
        (state_by_partition, partitions.test_partitions_share_the_state_of_their_group),
        (
            every_moment_is_now,
            positions.test_what_came_from_a_moment_on_lies_behind_its_position_and_nothing_older,
        ),
        (
            positions_ahead_of_the_clock,
            positions.test_a_moment_that_has_not_come_hides_nothing_that_comes,
        ),
        (
            ages_of_what_was_not_lent,
            delivery.test_topics_say_since_when_each_group_has_not_settled_the_oldest,
        ),
        (
            disbanded_without_its_partitions,
            partitions.test_partitions_go_with_their_group_and_no_other,
        ),
    ],
)
async def test_a_backend_that_breaks_a_promise_fails_its_test(
    mutation: pytest.MonkeyPatch,
    site: Site,
    mutate: Mutate,
    proof: Callable[[Site | Backend], Awaitable[None]],
) -> None:
    asks_for_site = "site" in proof.__code__.co_varnames[:1]
    await proof(site if asks_for_site else await site.open())  # sound, it passes
    mutate(mutation)
    broken = Site("memory", "")

    with pytest.raises((AssertionError, TimeoutError, pytest.fail.Exception)):
        await proof(broken if asks_for_site else await broken.open())

    await broken.close()
