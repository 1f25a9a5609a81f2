"""`guildbus replay`."""

from collections.abc import Sequence
from datetime import UTC, datetime

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, UsageError
from guild.suggest import closest


async def replay_topic(
    call: Call, topic: str, *, agent: str, since: str | None, until: str | None, really: bool
) -> int:
    """Count what would be handed on, by type, and hand it on if that is wanted."""
    earliest, latest = read_time(since, "--from"), read_time(until, "--to")
    if earliest and latest and earliest >= latest:
        raise UsageError(f"no time is after --from {since} and before --to {until}")
    async with call.client() as client:
        found = await client.replay(
            topic, agent, since=earliest, until=latest, really=really, by=call.user
        )
        topics = [report.topic for report in await client.topics()]
    rows = [
        {"type": name, "messages": count, "to": agent} for name, count in found.handed_on.items()
    ]
    rows += [{"type": name, "messages": n, "to": None} for name, n in found.passed_over.items()]
    call.output.rows(("type", "messages", "to"), rows, _nothing(topic, topics))
    count = sum(found.handed_on.values())
    if really:
        call.output.note(f"replayed {count} of {topic} to {agent}")
    elif count:
        call.output.note("nothing was done; to do it, add --really")
    return OK


def _nothing(topic: str, topics: Sequence[str]) -> str:
    if topic in topics:
        return f"{topic} holds nothing of that time any more"
    hint = closest(topic, topics)
    return f"there is no topic {topic}" + (f"; did you mean {hint!r}?" if hint else "")


def read_time(text: str | None, option: str) -> datetime | None:
    """A time without a zone is meant in UTC."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text}: write a time such as 2030-01-31T12:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
