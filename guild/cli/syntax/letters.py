"""The commands of `guildbus dead-letters`; as in `guild.cli.app`, each imports what it needs."""

from typing import Annotated

import typer

from guild.cli.syntax.options import (
    Allow,
    AsJson,
    BusUrl,
    Common,
    Count,
    LetterId,
    OfAgent,
    OfError,
    OfType,
    Spec,
)

letters = typer.Typer(help="Messages that their agent gave up on.", no_args_is_help=True)


@letters.command("list")
def list_letters(
    spec: Spec,
    agent: OfAgent = None,
    type_name: OfType = None,
    error: OfError = None,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those that died after this one.")
    ] = None,
    count: Count = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the oldest first."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import list_dead_letters
    from messaging.client.dead_letters import Wanted

    typed, wanted = Common(spec, bus, allow, as_json), Wanted(agent, type_name, error)
    run_command(list_dead_letters, typed, wanted=wanted, after=after, count=count)


@letters.command("summary")
def count_letters(
    spec: Spec,
    by: Annotated[
        str, typer.Option(help="What they are grouped by: type, error, agent.")
    ] = "type,error,agent",
    agent: OfAgent = None,
    type_name: OfType = None,
    error: OfError = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Count dead letters by type, error and agent, the most frequent first."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import count_dead_letters
    from messaging.client.dead_letters import Wanted

    typed, wanted = Common(spec, bus, allow, as_json), Wanted(agent, type_name, error)
    run_command(count_dead_letters, typed, by=by.split(","), wanted=wanted)


@letters.command("show")
def show_letter(
    spec: Spec,
    letter_id: LetterId,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Show one: the message, why it died, its traceback and every attempt."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import show_dead_letter

    run_command(show_dead_letter, Common(spec, bus, allow, as_json), letter_id)


@letters.command("requeue")
def requeue_letter(
    spec: Spec,
    letter_id: LetterId,
    edit: Annotated[
        list[str] | None,
        typer.Option(
            help="A field that gets another value: key=text, key:=json; or all fields: one JSON "
            "text, @file, or - for stdin. It is checked against the type first."
        ),
    ] = None,
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Hand one to its agent again, as if for the first time; its history goes on."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import requeue_dead_letter

    run_command(requeue_dead_letter, Common(spec, bus, allow), letter_id, edit or [])


@letters.command("requeue-all")
def requeue_letters(
    spec: Spec,
    agent: OfAgent = None,
    type_name: OfType = None,
    error: OfError = None,
    really: Annotated[
        bool, typer.Option("--yes", "--really", help="Do it; otherwise only say which.")
    ] = False,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List those that fit, and with --yes hand them to their agents again."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import requeue_dead_letters
    from messaging.client.dead_letters import Wanted

    typed, wanted = Common(spec, bus, allow, as_json), Wanted(agent, type_name, error)
    run_command(requeue_dead_letters, typed, wanted=wanted, really=really)


@letters.command("drop-all")
def drop_letters(
    spec: Spec,
    reason: Annotated[str, typer.Option(help="Why; guild.events keeps it.")],
    agent: OfAgent = None,
    type_name: OfType = None,
    error: OfError = None,
    really: Annotated[
        bool, typer.Option("--yes", "--really", help="Do it; otherwise only say which.")
    ] = False,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List those that fit, and with --yes forget them for good."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import drop_dead_letters
    from messaging.client.dead_letters import Wanted

    typed, wanted = Common(spec, bus, allow, as_json), Wanted(agent, type_name, error)
    run_command(drop_dead_letters, typed, wanted=wanted, reason=reason, really=really)


@letters.command("drop")
def drop_letter(
    spec: Spec,
    letter_id: LetterId,
    reason: Annotated[str, typer.Option(help="Why; guild.events keeps it.")],
    bus: BusUrl = None,
    allow: Allow = None,
) -> None:
    """Forget one for good."""
    from guild.cli.calling.running import run_command
    from guild.cli.commands.dead_letters import drop_dead_letter

    run_command(drop_dead_letter, Common(spec, bus, allow), letter_id, reason=reason)
