"""An index of patterns answers as `matches` does, whatever comes and goes."""

from hypothesis import given
from hypothesis import strategies as st

from messaging.wire.pattern_index import PatternIndex, plain_topics
from messaging.wire.topic import matches

_NAMES = st.sampled_from(["a", "b", "c"])
_TOPICS = st.builds(
    lambda lead, segments: lead + ".".join(segments),
    st.sampled_from(["", "_"]),
    st.lists(_NAMES, min_size=1, max_size=4),
)
_PATTERNS = st.builds(
    lambda segments, rest: ".".join([*segments, *rest]),
    st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3),
    st.sampled_from([[], [">"]]),
) | st.sampled_from([">", "_a", "_a.b"])
_OWNERS = st.sampled_from(["x", "y", "z"])


@given(st.lists(st.tuples(_OWNERS, st.lists(_PATTERNS, max_size=3)), max_size=8), _TOPICS)
def test_owners_are_those_whose_patterns_match(
    puts: list[tuple[str, list[str]]], topic: str
) -> None:
    index, patterns = PatternIndex(), dict[str, list[str]]()
    for owner, wanted in puts:
        if wanted:
            index.put(owner, wanted)
            patterns[owner] = wanted
        else:
            index.drop(owner)
            patterns.pop(owner, None)

    owners = [o for o, wanted in patterns.items() if any(matches(p, topic) for p in wanted)]
    assert sorted(index.owners_of(topic)) == sorted(owners)


def test_an_owner_that_went_leaves_nothing_behind() -> None:
    index = PatternIndex()
    for number in range(10):
        index.put(f"owner{number}", [f"a.{number}.>", "a.*"])
    for number in range(10):
        index.drop(f"owner{number}")

    assert index._root.next == {}


def test_patterns_without_wildcards_name_all_their_topics() -> None:
    assert plain_topics(["a", "b.c", "a"]) == ("a", "b.c")
    assert plain_topics(["a", "b.*"]) is None
    assert plain_topics(["a.>"]) is None
