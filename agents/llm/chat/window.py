"""What of a conversation fits the context window."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agents.llm.chat.messages import ChatMessage
from agents.llm.engines.errors import ContextOverflowError

OverflowPolicy = Literal["refuse", "drop_oldest"]


@dataclass(frozen=True)
class Fitted:
    """The messages that fit, and those that were dropped for it, oldest first."""

    messages: tuple[ChatMessage, ...]
    dropped: tuple[ChatMessage, ...] = ()


def fit_window(
    messages: Sequence[ChatMessage],
    count_tokens: Callable[[Sequence[ChatMessage]], int],
    *,
    context_window: int,
    new_tokens: int,
    policy: OverflowPolicy = "refuse",
    question: int | None = None,
) -> Fitted:
    """Make messages and new tokens fit the window.

    With `drop_oldest` whole turns go, from a question up to the next one; then, of what followed
    the question, answers together with what came of them, as the results of calls. System
    messages, the question and the newest results are never dropped.

    Args:
        messages: the whole conversation.
        count_tokens: how long the prompt of these messages is; it is asked a few times only.
        context_window: tokens that prompt and answer may have together.
        new_tokens: tokens of the answer.
        policy: what happens to a conversation that is too long.
        question: position of the message that the answer is for; None for the user's last one.

    Raises:
        ContextOverflowError: they do not fit, and may not or cannot be dropped.
    """

    def overflow(kept: Sequence[ChatMessage]) -> ContextOverflowError | None:
        prompt_tokens = count_tokens(kept)
        if prompt_tokens + new_tokens <= context_window:
            return None
        return ContextOverflowError(
            prompt_tokens=prompt_tokens, new_tokens=new_tokens, context_window=context_window
        )

    error = overflow(messages)
    if error is None:
        return Fitted(tuple(messages))
    units = _droppable(messages, _last_question(messages) if question is None else question)
    if policy == "refuse" or not units:
        raise error
    kept, dropped = _without(messages, units)
    error = overflow(kept)
    if error is not None:
        raise error
    # The fewest units that must go: `most` are known to be enough, `least - 1` are not.
    least, most = 1, len(units)
    while least < most:
        middle = (least + most) // 2
        if overflow(_without(messages, units[:middle])[0]) is None:
            most = middle
        else:
            least = middle + 1
    kept, dropped = _without(messages, units[:most])
    return Fitted(kept, dropped)


def turns(messages: Sequence[ChatMessage]) -> list[list[int]]:
    """Positions of the messages that belong together: a question and all up to the next one."""
    groups: list[list[int]] = []
    for at, message in enumerate(messages):
        if message.role == "system":
            continue
        if message.role == "user" or not groups:
            groups.append([])
        groups[-1].append(at)
    return groups


def _droppable(messages: Sequence[ChatMessage], question: int) -> list[list[int]]:
    """What may be dropped, oldest first: positions of messages that go together."""
    rounds: list[list[int]] = []
    for at in range(question + 1, len(messages)):
        if messages[at].role == "system":
            continue
        if messages[at].role == "assistant" or not rounds:
            rounds.append([])
        rounds[-1].append(at)
    earlier = turns(messages[: max(question, 0)])
    return earlier + rounds[:-1]  # the newest results are what the next answer is for


def _last_question(messages: Sequence[ChatMessage]) -> int:
    """The position of the user's last message; -1 where there is none."""
    return max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)


def _without(
    messages: Sequence[ChatMessage], units: Sequence[Sequence[int]]
) -> tuple[tuple[ChatMessage, ...], tuple[ChatMessage, ...]]:
    gone = {at for unit in units for at in unit}
    kept = tuple(message for at, message in enumerate(messages) if at not in gone)
    return kept, tuple(messages[at] for at in sorted(gone))
