from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.llm.chat import ChatCall, ChatMessage, SessionMemory, fit_window
from agents.llm.engines.errors import ContextOverflowError

S = ChatMessage(role="system", content="ssss")


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=text)


def said(text: str) -> ChatMessage:
    return ChatMessage(role="assistant", content=text)


def call(text: str) -> list[ChatMessage]:
    asked = ChatMessage(role="assistant", content=text, tool_calls=(ChatCall(id="c", name="f"),))
    return [asked, ChatMessage(role="tool", content=text, tool_call_id="c")]


def letters(messages: Sequence[ChatMessage]) -> int:
    return sum(len(message.content) for message in messages)


def fitted(messages: list[ChatMessage], window: int, new: int = 1) -> tuple[str, str]:
    fit = fit_window(messages, letters, context_window=window, new_tokens=new, policy="drop_oldest")
    return " ".join(m.content for m in fit.messages), " ".join(m.content for m in fit.dropped)


TALK = [
    S,
    user("aa"),
    said("bb"),
    user("cc"),
    *call("dd"),
    said("ee"),
    user("ff"),
    *call("gg"),
    *call("hh"),
]


def test_what_fits_is_left_as_it_is() -> None:
    fit = fit_window(TALK, letters, context_window=27, new_tokens=1)

    assert (fit.messages, fit.dropped) == (tuple(TALK), ())


def test_what_does_not_fit_is_refused_unless_said_otherwise() -> None:
    with pytest.raises(ContextOverflowError) as caught:
        fit_window(TALK, letters, context_window=26, new_tokens=1)

    assert (caught.value.prompt_tokens, caught.value.excess_tokens) == (26, 1)


@pytest.mark.parametrize(
    ("window", "kept", "dropped"),
    [
        (26, "ssss cc dd dd ee ff gg gg hh hh", "aa bb"),
        (23, "ssss cc dd dd ee ff gg gg hh hh", "aa bb"),
        (22, "ssss ff gg gg hh hh", "aa bb cc dd dd ee"),
        (15, "ssss ff gg gg hh hh", "aa bb cc dd dd ee"),
        (14, "ssss ff hh hh", "aa bb cc dd dd ee gg gg"),
        (11, "ssss ff hh hh", "aa bb cc dd dd ee gg gg"),
    ],
)
def test_oldest_turns_go_first_and_then_calls_with_their_results(
    window: int, kept: str, dropped: str
) -> None:
    assert fitted(TALK, window) == (kept, dropped)


def test_system_question_and_newest_results_are_never_dropped() -> None:
    with pytest.raises(ContextOverflowError) as caught:
        fitted(TALK, 10)

    assert caught.value.prompt_tokens == 10
    with pytest.raises(ContextOverflowError):
        fitted([S, user("aaaa")], 8)


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        (16, "ssss bb cc n1 dd n2 ee n3"),
        (14, "ssss bb dd n2 ee n3"),
        (11, "ssss bb ee n3"),
    ],
)
def test_what_follows_the_question_goes_after_what_came_before_it(window: int, kept: str) -> None:
    """Of a way through states, in which the user's message is said again and again."""
    steps = [user("bb"), said("cc"), user("n1"), said("dd"), user("n2"), said("ee"), user("n3")]
    fit = fit_window(
        [S, user("aa"), said("xx"), *steps],
        letters,
        context_window=window + 3,
        new_tokens=1,
        policy="drop_oldest",
        question=3,
    )

    assert " ".join(message.content for message in fit.messages) == kept


def test_new_tokens_count() -> None:
    assert fitted([user("aa"), said("bb"), user("cc")], 7, new=1) == ("aa bb cc", "")
    assert fitted([user("aa"), said("bb"), user("cc")], 7, new=2) == ("cc", "aa bb")


def test_no_more_is_dropped_than_must_be() -> None:
    talk = [message for _ in range(40) for message in (user("a"), said("b"))]
    for window in range(2, 83):
        kept, _ = fitted([*talk, user("c")], window)
        assert len(kept.replace(" ", "")) == (window - 2) // 2 * 2 + 1


def test_counting_is_done_a_few_times_only() -> None:
    counted = []

    def count(messages: Sequence[ChatMessage]) -> int:
        counted.append(1)
        return letters(messages)

    talk = [message for _ in range(5000) for message in (user("a"), said("b"))]
    fit = fit_window(
        [*talk, user("c")], count, context_window=1001, new_tokens=1, policy="drop_oldest"
    )

    assert letters(fit.messages) == 999
    assert len(counted) < 20


@given(st.lists(st.sampled_from(["s", "u", "a", "c"]), max_size=12), st.integers(1, 40))
def test_what_is_kept_fits_and_makes_sense(kinds: list[str], window: int) -> None:
    made = {"s": [S], "u": [user("uuu")], "a": [said("aa")], "c": call("c")}
    talk = [message for kind in kinds for message in made[kind]]
    try:
        fit = fit_window(talk, letters, context_window=window, new_tokens=1, policy="drop_oldest")
    except ContextOverflowError:
        return

    assert letters(fit.messages) < window
    assert len(fit.messages) + len(fit.dropped) == len(talk)
    assert [m for m in fit.messages if m.role == "system"] == [S] * kinds.count("s")
    if "u" in kinds:
        assert user("uuu") in fit.messages
    for before, message in zip([None, *fit.messages], fit.messages, strict=False):
        assert message.role != "tool" or (before is not None and before.tool_calls)


def test_sessions_are_remembered_apart() -> None:
    memory = SessionMemory()
    memory.remember("a", [S, user("1"), said("2")])
    memory.remember("b", [user("3")])
    memory.remember("a", [user("4")])
    memory.remember("", [user("5")])

    assert [m.content for m in memory.recall("a")] == ["1", "2", "4"]
    assert [m.content for m in memory.recall("b")] == ["3"]
    assert memory.recall("") == memory.recall("c") == ()
    memory.forget("a")
    assert (memory.recall("a"), len(memory)) == ((), 1)


def test_the_session_used_least_recently_is_forgotten() -> None:
    memory = SessionMemory(max_sessions=2)
    for session in ("a", "b"):
        memory.remember(session, [user(session)])
    memory.recall("a")
    memory.remember("c", [user("c")])

    assert (len(memory), memory.recall("b")) == (2, ())
    assert memory.recall("a") == (user("a"),)


def test_oldest_turns_of_a_session_are_forgotten_whole() -> None:
    memory = SessionMemory(max_entries=4)
    memory.remember("a", [user("1"), *call("2"), said("3")])
    memory.remember("a", [user("4"), said("5")])

    assert [m.content for m in memory.recall("a")] == ["4", "5"]
    memory.remember("a", [user("6"), *call("7"), *call("8"), said("9")])
    assert [m.content for m in memory.recall("a")] == ["6", "7", "7", "8", "8", "9"]


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        SessionMemory(max_sessions=0)
