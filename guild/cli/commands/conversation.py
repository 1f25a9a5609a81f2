"""`guildbus conversation`."""

from collections.abc import Mapping, Sequence

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, OK, UsageError
from guild.operations.conversation import Conversation, ConversationStep, StepHandling


async def show_conversation(call: Call, conversation_id: str) -> int:
    """Show the steps of a conversation, each below the one that it follows from."""
    if not conversation_id:
        raise UsageError("the id of the conversation is empty: name it, or a message of it")
    async with call.client() as client:
        conversation = await client.conversation(conversation_id)
    if not conversation.steps:
        call.output.error(
            f"nothing is known of {conversation_id}: topics forget what is settled unless the bus "
            "says ?keep_settled_s=86400, and only dead letters and what waits are kept besides"
        )
        return FAILED
    depths = _depths(conversation.steps)
    for step in conversation.steps:
        if call.output.as_json:
            call.output.json(step.model_dump(mode="json"))
        else:
            for line in _lines(step):
                call.output.line("  " * depths[step.id] + line)
    _tell_of_failure(call, conversation)
    if not conversation.is_whole:
        call.output.note("there is more than is read at once: this is a part of it")
    return OK


def _depths(steps: Sequence[ConversationStep]) -> Mapping[str, int]:
    """How many of the steps lie between each one and the first that led to it."""
    depths: dict[str, int] = {}
    for step in steps:  # a cause comes before what follows from it
        depths[step.id] = depths[step.cause] + 1 if step.cause in depths else 0
    return depths


def _lines(step: ConversationStep) -> Sequence[str]:
    at = f"{step.at.astimezone():%H:%M:%S.%f}"[:-3] if step.at else "?"
    sender = f" by {step.sender}" if step.sender else ""
    topic = f" on {step.topic}" if step.topic else ""
    head = f"{at} {step.type or 'a message'} {step.id}{topic}{sender}: {step.state}"
    return [head, *(f"    {_line(handling)}" for handling in step.agents)]


def _line(handling: StepHandling) -> str:
    told = [handling.state]
    if handling.attempts:
        told.append(f"{handling.attempts} attempt{'s' if handling.attempts > 1 else ''}")
    if handling.handled_s is not None:
        told.append(f"{1000 * handling.handled_s:.3g} ms")
    error = f": {handling.error}" if handling.error else ""
    return f"{handling.agent} {', '.join(told)}{error}"


def _tell_of_failure(call: Call, conversation: Conversation) -> None:
    failed = {step.id: step for step in conversation.steps}.get(conversation.failed_first)
    if failed is None:
        return
    letters = [handling.letter_id for handling in failed.agents if handling.letter_id]
    show = f"; see: {call.command('dead-letters show')} {letters[0]}" if letters else ""
    call.output.note(f"the first step that failed is {failed.id}{show}")
