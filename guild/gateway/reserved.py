"""What no caller may send, whatever its token is good for: it would speak in the name of another.

A decision is told by its desk, and made in the name of a token that may approve; what happens to a
guild is told by the guild.
"""

from pydantic import BaseModel

from guild.approvals import ApprovalDecision, DecideApproval, WithdrawApprovals
from guild.client import GuildClient
from guild.gateway.errors import ReservedError
from messaging.wire.message import wire_type_of
from messaging.wire.topic import EVENTS_TOPIC

_DECIDING = frozenset(
    wire_type_of(each).name for each in (DecideApproval, ApprovalDecision, WithdrawApprovals)
)


def check_may_be_sent(topic: str, message: BaseModel) -> None:
    """Pass if a caller may send `message` to `topic`.

    Raises:
        ReservedError: it may not.
    """
    if topic == EVENTS_TOPIC:
        raise ReservedError(
            f"{topic} tells what happened to the guild: only the guild writes there"
        )
    _check_decides_nothing(wire_type_of(type(message)).name)


async def check_may_be_edited(client: GuildClient, letter_id: str) -> None:
    """Pass if a caller may say what is in the message of this dead letter.

    Raises:
        ReservedError: it may not.
        LetterNotFoundError: there is no such letter.
    """
    _check_decides_nothing((await client.letter(letter_id)).type)


def _check_decides_nothing(name: str) -> None:
    if name in _DECIDING:
        raise ReservedError(
            f"{name} would decide in any name: POST /approvals/{{id}}/approve or /reject decides, "
            "in the name of the token"
        )
