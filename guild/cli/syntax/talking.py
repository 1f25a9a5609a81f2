"""The commands that send messages and watch them; each imports what it needs when it runs."""

from typing import Annotated

import typer

from guild.cli.syntax.options import (
    Allow,
    AsJson,
    BusUrl,
    Common,
    Conversation,
    Count,
    Data,
    LogLevel,
    MessageId,
    Spec,
    TimeoutS,
    Topic,
    TypeName,
    WaitS,
)

WatchedS = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="Stop after so long; exit status 6 if --count is not reached by then.",
        min=0.001,
    ),
]


def publish(
    spec: Spec,
    type_name: TypeName,
    data: Data = None,
    topic: Topic = None,
    delay_s: Annotated[
        float, typer.Option("--delay", help="Seconds to hold it back.", min=0.0)
    ] = 0.0,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
    wait_s: WaitS = 0.0,
) -> None:
    """Publish a message. Its id is printed, which means that it was accepted."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.talk import publish_message

    typed = Common(spec, bus, allow, as_json, log_level, wait_s)
    run_command(publish_message, typed, type_name, data or [], topic=topic, delay_s=delay_s)


def request(
    spec: Spec,
    type_name: TypeName,
    data: Data = None,
    topic: Topic = None,
    timeout_s: TimeoutS = 60.0,
    conversation: Conversation = "",
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
    wait_s: WaitS = 0.0,
) -> None:
    """Ask a running guild. What is emitted goes to stderr, the answer to stdout."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.talk import request_answer

    run_command(
        request_answer,
        Common(spec, bus, allow, as_json, log_level, wait_s),
        type_name,
        data or [],
        topic=topic,
        timeout_s=timeout_s,
        conversation=conversation,
    )


def follow(
    spec: Spec,
    message_id: MessageId,
    timeout_s: TimeoutS = 60.0,
    conversation: Annotated[
        str, typer.Option(help="The conversation that the request belongs to; left out: its own.")
    ] = "",
    after: Annotated[
        str,
        typer.Option(
            metavar="POSITION", help="Only what was emitted behind it; a follow that ends tells it."
        ),
    ] = "",
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Wait for the answer to a request that was made elsewhere. Progress goes to stderr."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.talk import follow_request

    typed = Common(spec, bus, allow, as_json, log_level)
    run_command(
        follow_request,
        typed,
        message_id,
        timeout_s=timeout_s,
        conversation=conversation,
        after=after,
    )


def cancel(
    spec: Spec,
    message_id: MessageId,
    reason: Annotated[str, typer.Option(help="Why, for the requester.")] = "",
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Stop work on a message. What followed from it is stopped, too."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.talk import cancel_message

    run_command(cancel_message, Common(spec, bus, allow), message_id, reason=reason)


def tap(
    spec: Spec,
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Topics and patterns; left out: everything.")
    ] = None,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin with what the topics still hold.")
    ] = False,
    no_follow: Annotated[
        bool,
        typer.Option("--no-follow", help="Show what the topics hold, from the start, and stop."),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(help="Begin with what was accepted since, as 2030-01-31T12:00Z."),
    ] = None,
    count: Count = None,
    timeout_s: WatchedS = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Watch messages as they pass, without taking any."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.watching import tap_topics

    typed = Common(spec, bus, allow, as_json, log_level)
    run_command(
        tap_topics,
        typed,
        patterns or [">"],
        from_start=from_start,
        follow=not no_follow,
        since=since,
        count=count,
        timeout_s=timeout_s,
    )


def live(
    spec: Spec,
    count: Count = None,
    timeout_s: WatchedS = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Watch what agents handle. It shows what becomes of it, up to 200 a second of each process."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.watching import watch_guild

    typed = Common(spec, bus, allow, as_json, log_level)
    run_command(watch_guild, typed, count=count, timeout_s=timeout_s)


def conversation(
    spec: Spec,
    message_id: Annotated[
        str, typer.Argument(help="Id of the conversation, or of any message of it.")
    ],
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Show what is known of a conversation. Its messages, and what agents made of them."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.conversation import show_conversation

    run_command(show_conversation, Common(spec, bus, allow, as_json), message_id)
