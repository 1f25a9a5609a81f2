"""The commands of `guildbus`. Each imports what it needs when it runs, so that --help is quick."""

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.letters import letters
from guild.cli.options import (
    AgentId,
    Allow,
    AsJson,
    BusUrl,
    Common,
    Conversation,
    Data,
    Format,
    LogLevel,
    MessageId,
    Spec,
    TimeoutS,
    Topic,
    TypeName,
    WaitS,
)
from guild.cli.plugins import Commands

app = typer.Typer(
    cls=Commands,
    help="Guilds of agents on a typed message bus.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(letters, name="dead-letters")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"guildbus {version('guildbus')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Guilds of agents on a typed message bus."""


@app.command()
def run(
    spec: Spec,
    data: Data = None,
    request: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE", help="Ask the guild this one thing, print the answer, and stop."
        ),
    ] = None,
    topic: Topic = None,
    conversation: Conversation = "",
    timeout_s: TimeoutS = 3600.0,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AGENT,…", help="Run only these agents here; other processes run the others."
        ),
    ] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
    wait_s: WaitS = 0.0,
) -> None:
    """Run a guild. It ends when it is interrupted, or when its one --request is answered."""
    from guild.cli.commands.run import run_guild
    from guild.cli.running import run_command

    run_command(
        run_guild,
        Common(spec, bus, allow, as_json, log_level, wait_s),
        request,
        data or [],
        topic=topic,
        conversation=conversation,
        timeout_s=timeout_s,
        only=only,
    )


@app.command()
def validate(
    specs: Annotated[list[Path], typer.Argument(help="Guild specs, YAML or JSON.")],
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Check specs. Every problem is told with file, line and column; nothing is started."""
    from guild.cli.commands.validate import validate_specs
    from guild.cli.running import run_command

    run_command(validate_specs, Common(allow=allow, as_json=as_json), specs)


@app.command()
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
    from guild.cli.commands.talk import publish_message
    from guild.cli.running import run_command

    typed = Common(spec, bus, allow, as_json, log_level, wait_s)
    run_command(publish_message, typed, type_name, data or [], topic=topic, delay_s=delay_s)


@app.command()
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
    from guild.cli.commands.talk import request_answer
    from guild.cli.running import run_command

    run_command(
        request_answer,
        Common(spec, bus, allow, as_json, log_level, wait_s),
        type_name,
        data or [],
        topic=topic,
        timeout_s=timeout_s,
        conversation=conversation,
    )


@app.command()
def follow(
    spec: Spec,
    message_id: MessageId,
    timeout_s: TimeoutS = 60.0,
    conversation: Annotated[
        str, typer.Option(help="The conversation that the request belongs to; left out: its own.")
    ] = "",
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Wait for the answer to a request that was made elsewhere. Progress goes to stderr."""
    from guild.cli.commands.talk import follow_request
    from guild.cli.running import run_command

    typed = Common(spec, bus, allow, as_json, log_level)
    run_command(follow_request, typed, message_id, timeout_s=timeout_s, conversation=conversation)


@app.command()
def cancel(
    spec: Spec,
    message_id: MessageId,
    reason: Annotated[str, typer.Option(help="Why, for the requester.")] = "",
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Stop work on a message. What followed from it is stopped, too."""
    from guild.cli.commands.talk import cancel_message
    from guild.cli.running import run_command

    run_command(cancel_message, Common(spec, bus, allow), message_id, reason=reason)


@app.command()
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
    count: Annotated[int | None, typer.Option(help="Stop after so many.", min=1)] = None,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            help="Stop after so long; exit status 6 if --count is not reached by then.",
            min=0.001,
        ),
    ] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Watch messages as they pass, without taking any."""
    from guild.cli.commands.tap import tap_topics
    from guild.cli.running import run_command

    typed = Common(spec, bus, allow, as_json, log_level)
    run_command(
        tap_topics,
        typed,
        patterns or [">"],
        from_start=from_start,
        follow=not no_follow,
        count=count,
        timeout_s=timeout_s,
    )


@app.command()
def graph(
    spec: Spec,
    drawn_as: Annotated[Format, typer.Option("--format", help="How it is drawn.")] = Format.TEXT,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Draw who sends what to whom. Nothing is started."""
    from guild.cli.commands.graph import print_graph
    from guild.cli.running import run_command

    run_command(print_graph, Common(spec, allow=allow, as_json=as_json), drawn_as)


@app.command()
def schema(
    spec: Annotated[Path | None, typer.Argument(help="A spec whose message is wanted.")] = None,
    message: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Wire name or class name of a message.")
    ] = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Print a JSON schema. It is that of guild specs, or of one message of a guild."""
    from guild.cli.commands.schema import print_schema
    from guild.cli.running import run_command

    run_command(print_schema, Common(spec, allow=allow, as_json=as_json), message)


@app.command()
def agents(
    spec: Annotated[
        Path | None, typer.Argument(help="A guild; left out: the agent types installed here.")
    ] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List agents. With a spec: those of the guild, and what waits for them."""
    from guild.cli.commands.agents import list_agents
    from guild.cli.running import run_command

    run_command(list_agents, Common(spec, bus, allow, as_json))


@app.command()
def topics(spec: Spec, bus: BusUrl = None, allow: Allow = None, as_json: AsJson = False) -> None:
    """List topics. With what they hold, and for whom."""
    from guild.cli.commands.agents import list_topics
    from guild.cli.running import run_command

    run_command(list_topics, Common(spec, bus, allow, as_json))


@app.command()
def state(
    spec: Spec,
    agent: Annotated[
        str | None, typer.Argument(help="Id of the agent; left out: all agents.")
    ] = None,
    key: Annotated[
        str | None, typer.Argument(help="The key whose value is shown; left out: all keys.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also what the bus keeps there for itself.")
    ] = False,
    count: Annotated[int | None, typer.Option(help="Stop after so many keys.", min=1)] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List the state that agents keep, or show one value. Nothing is changed."""
    from guild.cli.commands.state import list_state, show_state
    from guild.cli.running import run_command

    typed = Common(spec, bus, allow, as_json)
    if agent is not None and key is not None:
        run_command(show_state, typed, agent, key)
    else:
        run_command(list_state, typed, agent=agent, with_the_buses_own=everything, count=count)


@app.command()
def pause(spec: Spec, agent: AgentId, bus: BusUrl = None, allow: Allow = None) -> None:
    """Pause an agent, in all processes, until it is resumed. What is published for it waits."""
    from guild.cli.commands.pausing import pause_agent
    from guild.cli.running import run_command

    run_command(pause_agent, Common(spec, bus, allow), agent)


@app.command()
def resume(spec: Spec, agent: AgentId, bus: BusUrl = None, allow: Allow = None) -> None:
    """Let a paused agent go on."""
    from guild.cli.commands.pausing import resume_agent
    from guild.cli.running import run_command

    run_command(resume_agent, Common(spec, bus, allow), agent)


@app.command()
def drain(
    spec: Spec,
    agent: AgentId,
    timeout_s: TimeoutS = 60.0,
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Pause an agent and wait until nothing of it runs any more, as before an upgrade."""
    from guild.cli.commands.pausing import drain_agent
    from guild.cli.running import run_command

    run_command(drain_agent, Common(spec, bus, allow), agent, timeout_s=timeout_s)


@app.command()
def replay(
    spec: Spec,
    topic: Annotated[str, typer.Argument(help="The topic whose messages are repeated.")],
    agent: Annotated[str, typer.Option(help="Id of the agent that gets them, and nobody else.")],
    since: Annotated[
        str | None, typer.Option("--from", help="Only those made since, as 2030-01-31T12:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Only those made before.")] = None,
    really: Annotated[
        bool, typer.Option("--really", help="Do it; otherwise it is only counted.")
    ] = False,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Hand what a topic still holds to one agent again, as new messages."""
    from guild.cli.commands.replay import replay_topic
    from guild.cli.running import run_command

    typed = Common(spec, bus, allow, as_json)
    run_command(replay_topic, typed, topic, agent=agent, since=since, until=until, really=really)


@app.command()
def forget(
    spec: Spec,
    agent: Annotated[str, typer.Argument(help="Id of an agent that is not in the spec any more.")],
    really: Annotated[
        bool, typer.Option("--really", help="Do it; otherwise it is only counted.")
    ] = False,
    quiet_s: Annotated[
        float,
        typer.Option(
            "--quiet", help="Seconds of silence after which its replicas count as dead.", min=0.1
        ),
    ] = 12.0,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Unsubscribe an agent that was taken out of the spec, with all that was kept for it."""
    from guild.cli.commands.forget import forget_agent
    from guild.cli.running import run_command

    typed = Common(spec, bus, allow, as_json)
    run_command(forget_agent, typed, agent, really=really, quiet_s=quiet_s)


@app.command()
def doctor(
    spec: Annotated[Path | None, typer.Argument(help="A guild whose bus is tried, too.")] = None,
    bus: Annotated[str | None, typer.Option("--bus", help="A server to try, too.")] = None,
    allow: Allow = None,
    as_json: AsJson = False,
    wait_s: WaitS = 0.0,
) -> None:
    """Check this machine: Python, packages, servers, devices; and the bus of a guild."""
    from guild.cli.commands.doctor import diagnose
    from guild.cli.running import run_command

    run_command(diagnose, Common(spec, bus, allow, as_json, wait_s=wait_s))


@app.command()
def acl(
    spec: Spec,
    file: Annotated[
        Path, typer.Option(help="The server's ACL file; lines about other users stay.")
    ] = Path("users.acl"),
    user: Annotated[str, typer.Option(help="Name of the user; left out: the guild's id.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(help="A password to use; left out: one is made up and printed.")
    ] = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Write the ACL file of a Redis server. The guild may use its own keys there, and no more."""
    from guild.cli.commands.acl import write_acl
    from guild.cli.running import run_command

    typed = Common(spec, allow=allow, as_json=as_json)
    run_command(write_acl, typed, file, user=user, password_file=password_file)
