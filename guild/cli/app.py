"""The commands of `guildbus`. Each imports what it needs when it runs, so that --help is quick."""

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.options import (
    Allow,
    AsJson,
    BusUrl,
    Data,
    LogLevel,
    Spec,
    TimeoutS,
    Topic,
    TypeName,
)

app = typer.Typer(
    help="Guilds of agents on a typed message bus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
letters = typer.Typer(help="Messages that their agent gave up on.", no_args_is_help=True)
app.add_typer(letters, name="dead-letters")


@app.command()
def run(
    spec: Spec,
    request: Annotated[
        str | None,
        typer.Option(help="Ask the guild this one thing, show the answer, and stop."),
    ] = None,
    data: Data = None,
    topic: Topic = None,
    conversation: Annotated[
        str, typer.Option(help="Conversation to go on with, as 32 hex digits.")
    ] = "",
    timeout_s: TimeoutS = 3600.0,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = "warning",
) -> None:
    """Run a guild until it is interrupted, or until one request is answered."""
    from guild.cli.commands.run import run_guild
    from guild.cli.running import execute

    execute(
        run_guild(
            spec,
            request=request,
            data=data or [],
            topic=topic,
            conversation=conversation,
            timeout_s=timeout_s,
            bus=bus,
            allow=allow or [],
            as_json=as_json,
        ),
        log_level,
    )


@app.command()
def validate(
    specs: Annotated[list[Path], typer.Argument(help="Guild specs, YAML or JSON.")],
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Check specs: every problem with file, line and column; nothing is started."""
    from guild.cli.commands.validate import validate_specs

    raise typer.Exit(validate_specs(specs, allow=allow or [], as_json=as_json))


@app.command()
def publish(
    spec: Spec,
    type_name: TypeName,
    data: Data = None,
    topic: Topic = None,
    bus: BusUrl = None,
    allow: Allow = None,
    delay_s: Annotated[float, typer.Option("--delay", help="Seconds to hold it back.")] = 0.0,
    as_json: AsJson = False,
    log_level: LogLevel = "warning",
) -> None:
    """Publish a message to a running guild and print its id."""
    from guild.cli.commands.talk import publish_message
    from guild.cli.running import execute

    execute(
        publish_message(
            spec,
            type_name,
            data or [],
            topic=topic,
            bus=bus,
            allow=allow or [],
            delay_s=delay_s,
            as_json=as_json,
        ),
        log_level,
    )


@app.command()
def request(
    spec: Spec,
    type_name: TypeName,
    data: Data = None,
    topic: Topic = None,
    timeout_s: TimeoutS = 60.0,
    conversation: Annotated[str, typer.Option(help="Conversation to go on with.")] = "",
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = "warning",
) -> None:
    """Ask a running guild; progress goes to stderr, the answer to stdout."""
    from guild.cli.commands.talk import request_answer
    from guild.cli.running import execute

    execute(
        request_answer(
            spec,
            type_name,
            data or [],
            topic=topic,
            timeout_s=timeout_s,
            conversation=conversation,
            bus=bus,
            allow=allow or [],
            as_json=as_json,
        ),
        log_level,
    )


@app.command()
def tap(
    spec: Spec,
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Topics and patterns; left out: everything.")
    ] = None,
    from_start: Annotated[
        bool, typer.Option(help="Begin with what the topics still hold.")
    ] = False,
    count: Annotated[int | None, typer.Option(help="Stop after so many.", min=1)] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = "warning",
) -> None:
    """Watch messages as they pass, without taking any."""
    from guild.cli.commands.talk import tap_topics
    from guild.cli.running import execute

    execute(
        tap_topics(
            spec,
            patterns or [">"],
            from_start=from_start,
            count=count,
            bus=bus,
            allow=allow or [],
            as_json=as_json,
        ),
        log_level,
    )


@app.command()
def graph(
    spec: Spec,
    format_: Annotated[str, typer.Option("--format", help="text, mermaid, svg or json.")] = "text",
    allow: Allow = None,
) -> None:
    """Draw who sends what to whom."""
    from guild.cli.commands.graph import print_graph
    from guild.cli.running import execute

    execute(print_graph(spec, format_, allow=allow or []), "warning")


@app.command()
def schema(
    spec: Annotated[Path | None, typer.Argument(help="A spec whose message is wanted.")] = None,
    message: Annotated[str | None, typer.Option(help="Class or wire name of a message.")] = None,
    allow: Allow = None,
) -> None:
    """Print the JSON schema of guild specs, or of one message of a guild."""
    from guild.cli.commands.schema import print_schema
    from guild.cli.running import execute

    execute(print_schema(spec, message, allow=allow or []), "warning")


@app.command()
def agents(
    spec: Annotated[
        Path | None, typer.Argument(help="A guild; left out: the agent types installed here.")
    ] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = "warning",
) -> None:
    """List agent types, or the agents of a guild with what waits for them."""
    from guild.cli.commands.agents import list_agents
    from guild.cli.running import execute

    execute(list_agents(spec, bus=bus, allow=allow or [], as_json=as_json), log_level)


@app.command()
def doctor(
    bus: Annotated[str | None, typer.Option("--bus", help="A server to try, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check this machine: Python, packages, servers, devices."""
    from guild.cli.commands.doctor import diagnose
    from guild.cli.running import execute

    execute(diagnose(bus, as_json=as_json), "error")


@letters.command("list")
def list_letters(
    spec: Spec,
    agent: Annotated[str | None, typer.Option(help="Only this agent's.")] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the oldest first."""
    from guild.cli.commands.dead_letters import list_dead_letters
    from guild.cli.running import execute

    execute(
        list_dead_letters(spec, agent=agent, bus=bus, allow=allow or [], as_json=as_json),
        "warning",
    )


LetterId = Annotated[str, typer.Argument(help="Id of the dead letter, or of its message.")]


@letters.command("show")
def show_letter(
    spec: Spec,
    letter_id: LetterId,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Show one: the message, why it died, its traceback and every attempt."""
    from guild.cli.commands.dead_letters import show_dead_letter
    from guild.cli.running import execute

    execute(
        show_dead_letter(spec, letter_id, bus=bus, allow=allow or [], as_json=as_json), "warning"
    )


@letters.command("requeue")
def requeue_letter(
    spec: Spec, letter_id: LetterId, bus: BusUrl = None, allow: Allow = None
) -> None:
    """Hand one to its agent again, as if for the first time."""
    from guild.cli.commands.dead_letters import requeue_dead_letter
    from guild.cli.running import execute

    execute(requeue_dead_letter(spec, letter_id, bus=bus, allow=allow or []), "warning")


@letters.command("drop")
def drop_letter(
    spec: Spec,
    letter_id: LetterId,
    reason: Annotated[str, typer.Option(help="Why, for the log.")],
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Forget one for good."""
    from guild.cli.commands.dead_letters import drop_dead_letter
    from guild.cli.running import execute

    execute(drop_dead_letter(spec, letter_id, reason, bus=bus, allow=allow or []), "warning")
