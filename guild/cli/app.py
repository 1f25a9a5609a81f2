"""The commands of `guildbus`. Each imports what it needs when it runs, so that --help is quick."""

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.syntax.gateway import (
    Certificate,
    Names,
    PlainHttp,
    PrivateKey,
    TokensFile,
    console,
    tokens,
)
from guild.cli.syntax.letters import letters
from guild.cli.syntax.operating import drain, forget, pause, replay, resume, state
from guild.cli.syntax.options import (
    Allow,
    AsJson,
    BusUrl,
    Common,
    Conversation,
    Data,
    Format,
    LogLevel,
    Spec,
    TimeoutS,
    Topic,
    WaitS,
)
from guild.cli.syntax.plugins import Commands
from guild.cli.syntax.talking import (
    cancel,
    conversation,
    follow,
    live,
    publish,
    request,
    tap,
)

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
app.add_typer(tokens, name="tokens")


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
    http: Annotated[
        str | None,
        typer.Option(
            "--http", metavar="[HOST:]PORT", help="Serve its console and HTTP API, too, there."
        ),
    ] = None,
    tokens_file: TokensFile = None,
    names: Names = None,
    certificate: Certificate = None,
    private_key: PrivateKey = None,
    plain_http: PlainHttp = False,
    traces: Annotated[
        bool,
        typer.Option(
            "--traces", help="Send traces, as the OTEL_… variables say; needs opentelemetry-sdk."
        ),
    ] = False,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
    wait_s: WaitS = 0.0,
) -> None:
    """Run a guild. It ends when it is interrupted, or when its one --request is answered."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.http import Http
    from guild.cli.commands.run import run_guild

    run_command(
        run_guild,
        Common(spec, bus, allow, as_json, log_level, wait_s),
        request,
        data or [],
        topic=topic,
        conversation=conversation,
        timeout_s=timeout_s,
        only=only,
        http=Http(http, tokens_file, tuple(names or ()), certificate, private_key, plain_http),
        traces=traces,
    )


def validate(
    specs: Annotated[list[Path], typer.Argument(help="Guild specs, YAML or JSON.")],
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Check specs. Every problem is told with file, line and column; nothing is started."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.validate import validate_specs

    run_command(validate_specs, Common(allow=allow, as_json=as_json), specs)


def graph(
    spec: Spec,
    drawn_as: Annotated[Format, typer.Option("--format", help="How it is drawn.")] = Format.TEXT,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Draw who sends what to whom. Nothing is started."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.graph import print_graph

    run_command(print_graph, Common(spec, allow=allow, as_json=as_json), drawn_as)


def schema(
    spec: Annotated[Path | None, typer.Argument(help="A spec whose message is wanted.")] = None,
    message: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Wire name or class name of a message.")
    ] = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Print a JSON schema. It is that of guild specs, or of one message of a guild."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.schema import print_schema

    run_command(print_schema, Common(spec, allow=allow, as_json=as_json), message)


def agents(
    spec: Annotated[
        Path | None, typer.Argument(help="A guild; left out: the agent types installed here.")
    ] = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List agents. With a spec: those of the guild, and what waits for them."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.agents import list_agents

    run_command(list_agents, Common(spec, bus, allow, as_json))


def topics(spec: Spec, bus: BusUrl = None, allow: Allow = None, as_json: AsJson = False) -> None:
    """List topics. With what they hold, and for whom."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.agents import list_topics

    run_command(list_topics, Common(spec, bus, allow, as_json))


def doctor(
    spec: Annotated[Path | None, typer.Argument(help="A guild whose bus is tried, too.")] = None,
    bus: Annotated[str | None, typer.Option("--bus", help="A server to try, too.")] = None,
    allow: Allow = None,
    as_json: AsJson = False,
    wait_s: WaitS = 0.0,
) -> None:
    """Check this machine, and the bus of a guild. Python, packages, servers, devices."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.doctor import diagnose

    run_command(diagnose, Common(spec, bus, allow, as_json, wait_s=wait_s))


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
    from guild.cli.calling.running import run_command
    from guild.cli.commands.acl import write_acl

    typed = Common(spec, allow=allow, as_json=as_json)
    run_command(write_acl, typed, file, user=user, password_file=password_file)


for _command in (  # in the order of --help
    *(run, validate),
    *(publish, request, follow, cancel, tap),
    *(live, conversation),
    *(graph, schema, agents, topics),
    *(state, pause, resume, drain, replay, forget),
    *(console, doctor, acl),
):
    app.command()(_command)
