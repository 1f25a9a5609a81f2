"""What each group reads, kept up to date change by change, is what matching anew would give."""

from hypothesis import given
from hypothesis import strategies as st

from messaging.backends.redis.registry.fits import Fits
from messaging.wire.topic import matches, owner_of

_TOPICS = st.sets(st.sampled_from(["a", "b", "a.b", "a.c", "b.c", "a.b.c", "_retry.g", "_retry.h"]))
_GROUPS = st.dictionaries(
    st.sampled_from(["g", "h", "i"]),
    st.lists(st.sampled_from(["a", "b", "a.*", "a.>", ">", "*.c"]), max_size=3),
)
_CHANGES = st.lists(st.tuples(_TOPICS, _GROUPS, st.booleans(), st.booleans()), max_size=6)


@given(_CHANGES)
def test_every_fit_is_what_its_patterns_match(
    changes: list[tuple[set[str], dict[str, list[str]], bool, bool]],
) -> None:
    fits = Fits()
    watched = {name: fits.of(name) for name in ("g", "h")}
    topics, groups = set[str](), dict[str, list[str]]()
    for new_topics, new_groups, all_topics, all_groups in changes:
        before = {name: (list(fit.topics), fit.version) for name, fit in watched.items()}
        topics = set(new_topics) if all_topics else topics | new_topics
        groups = dict(new_groups) if all_groups else groups | new_groups
        changed = fits.update(new_topics, new_groups, all_topics=all_topics, all_groups=all_groups)

        assert fits.topics == topics
        assert fits.groups == groups
        for name, fit in watched.items():
            assert fit.topics == sorted(
                topic
                for topic in topics
                if not owner_of(topic) and any(matches(p, topic) for p in groups.get(name, []))
            )
            was, version = before[name]
            if fit.topics != was:
                assert fit in changed
            assert (fit.version != version) == (fit in changed)
        for topic in topics:
            owner = owner_of(topic)
            owed = {g for g, ps in groups.items() if any(matches(p, topic) for p in ps)}
            assert set(fits.groups_for(topic)) == ({owner} & set(groups) if owner else owed)


def test_a_new_topic_concerns_only_those_whose_patterns_fit_it() -> None:
    fits = Fits()
    one, other = fits.of("one"), fits.of("other")
    fits.update([], {"one": ["a"], "other": ["b.*"]}, all_topics=False, all_groups=True)

    assert fits.update(["b.c"], {}, all_topics=False, all_groups=False) == [other]
    assert (one.topics, other.topics) == ([], ["b.c"])
