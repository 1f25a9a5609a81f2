"""Shares of the partitions: complete, even, and steady."""

from hypothesis import given, settings
from hypothesis import strategies as st

from messaging.consuming.balance import share_of

REPLICAS = st.sets(st.text("abcdef.-0123456789", min_size=1, max_size=12), min_size=1, max_size=12)
COUNTS = st.integers(1, 64)


@given(REPLICAS, COUNTS)
@settings(deadline=None)
def test_every_partition_has_one_owner_and_no_share_is_larger_by_more_than_one(
    replicas: set[str], count: int
) -> None:
    shares = {replica: share_of(replica, replicas, count) for replica in replicas}

    assert sorted(number for share in shares.values() for number in share) == list(range(count))
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@given(REPLICAS, COUNTS)
@settings(deadline=None)
def test_everybody_comes_to_the_same_answer_in_whatever_order_they_are_named(
    replicas: set[str], count: int
) -> None:
    for replica in replicas:
        assert share_of(replica, sorted(replicas), count) == share_of(
            replica, sorted(replicas, reverse=True), count
        )


def test_most_partitions_stay_where_they_are_when_a_replica_comes() -> None:
    before = [f"replica-{number}" for number in range(7)]
    after = [*before, "replica-7"]

    stayed = sum(len(share_of(name, before, 64) & share_of(name, after, 64)) for name in before)

    assert stayed >= 64 // 2  # dealt out anew, an eighth would stay
