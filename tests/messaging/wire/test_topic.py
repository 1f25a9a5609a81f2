import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from messaging.errors import TopicError
from messaging.wire.topic import (
    CONTROL_TOPIC,
    DEFAULT_TOPIC,
    EVENTS_TOPIC,
    MAX_LENGTH,
    check_pattern,
    check_topic,
    emit_topic_of,
    inbox_of,
    is_ephemeral,
    is_pattern,
    matches,
    reply_topic_of,
    retry_topic_of,
)

# Few letters, so that topics and patterns often meet.
SEGMENTS = st.sampled_from(["a", "b", "ab", "a-b", "a_1"])
TOPICS = st.lists(SEGMENTS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda head, tail: ".".join([*head, *tail]),
    st.lists(st.one_of(SEGMENTS, st.just("*")), max_size=3),
    st.sampled_from([["a"], ["*"], [">"]]),
)


@given(TOPICS)
def test_a_topic_is_a_topic_and_a_pattern_that_fits_itself(topic: str) -> None:
    assert check_topic(topic) == check_pattern(topic) == topic
    assert not is_pattern(topic)
    assert matches(topic, topic)


@given(PATTERNS, TOPICS)
def test_patterns_fit_what_they_describe(pattern: str, topic: str) -> None:
    parts = {"*": "[^.]+", ">": ".+"}
    described = r"\.".join(parts.get(part, re.escape(part)) for part in pattern.split("."))

    assert check_pattern(pattern) == pattern
    assert matches(pattern, topic) == (re.fullmatch(described, topic) is not None)


@given(st.text())
def test_any_text_is_a_topic_or_a_topic_error(text: str) -> None:
    for check in (check_topic, check_pattern):
        try:
            assert check(text) == text
        except TopicError:
            continue


@given(st.text(), st.text())
def test_matching_never_raises(pattern: str, topic: str) -> None:
    assert matches(pattern, topic) in (True, False)


@given(TOPICS, st.characters())
def test_a_topic_with_a_foreign_character_is_refused(topic: str, foreign: str) -> None:
    assume(not re.fullmatch(r"[A-Za-z0-9_\-.]", foreign))

    with pytest.raises(TopicError):
        check_topic(topic + foreign)


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*.c", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a.b", True),
        (">", "_retry.readers", False),
        ("*", CONTROL_TOPIC, False),
        ("_retry.readers", "_retry.readers", True),
    ],
)
def test_stars_stand_for_one_segment_and_arrows_for_the_rest(
    pattern: str, topic: str, fits: bool
) -> None:
    assert matches(pattern, topic) is fits


@pytest.mark.parametrize(
    ("topic", "why"),
    [
        ("", "1 to 200"),
        ("a" * (MAX_LENGTH + 1), "201"),
        ("a..b", "''"),
        (".a", "''"),
        ("a b", "letters"),
        ("a\n", "letters"),
        ("a.*", "pattern"),
        ("a.>", "pattern"),
        ("_reply.me", "reserved"),
    ],
)
def test_a_bad_topic_is_refused_with_the_reason(topic: str, why: str) -> None:
    with pytest.raises(TopicError, match=re.escape(why)):
        check_topic(topic)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a.>.b", "last"),
        ("a.b*", "letters"),
        ("", "1 to 200"),
        ("_retry.*", "reserved"),
        ("*..b", "''"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(TopicError, match=re.escape(why)):
        check_pattern(pattern)


def test_the_longest_topic_is_still_one() -> None:
    assert check_topic("a" * MAX_LENGTH)


def test_only_topics_of_the_bus_for_short_lived_things_are_ephemeral() -> None:
    assert all(map(is_ephemeral, [CONTROL_TOPIC, reply_topic_of("c"), emit_topic_of("c")]))
    assert not any(
        map(is_ephemeral, [DEFAULT_TOPIC, EVENTS_TOPIC, retry_topic_of("g"), inbox_of("a")])
    )


def test_users_may_publish_to_an_inbox() -> None:
    assert check_topic(inbox_of("agent-1")) == "inbox.agent-1"
