"""Answers that come to an agent's inbox and have no handler there: the log tells of each kind."""

from functools import lru_cache

from messaging.process.logs import get_logger
from messaging.wire.envelope import Envelope

log = get_logger()

MOST_REMEMBERED = 1_024


def tell_of_answer(guild_id: str, group: str, ignored: Envelope) -> None:
    """Warn of what lay in the inbox of `group`, if it answers: once in this process for each kind.

    A notice that a message was given up is no answer: the agent that gave up has logged it, and
    it is passed on to the caller up the chain.
    """
    if ignored.cause and not ignored.reply_to and not ignored.type.startswith("bus."):
        _warn(guild_id, group, ignored.type, ignored.version, ignored.sender)


@lru_cache(MOST_REMEMBERED)
def _warn(guild_id: str, group: str, name: str, version: int, sender: str) -> None:
    log.warning(
        "inbox.answer_unhandled",
        guild=guild_id,
        agent=group,
        type=name,
        version=version,
        sender=sender,
        what=f"{group} has no handler for it, and no other of its kind is told of",
        remedy='add a handler, or send with `reply_to=""` where the answer is not wanted',
    )
