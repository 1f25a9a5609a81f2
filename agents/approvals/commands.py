"""The words of `guildbus approvals`. Imports what it needs when a command runs."""

# ruff: noqa: PLC0415, PLR0917  --help is quick; typer calls by name

from typing import Annotated, Literal

import typer

from guild.cli.syntax.options import Allow, AsJson, BusUrl, Common, Count, Spec, TimeoutS

approvals = typer.Typer(
    help="Decide about what agents ask first. List, show, approve, reject.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="Id of the approval.")]
By = Annotated[
    str | None, typer.Option(help="Who decides; left out: the user of this machine that you are.")
]
Reason = Annotated[str, typer.Option(help="Why; whoever asked is told, and it is kept.")]


@approvals.command("list")
def list_(
    spec: Spec,
    decided: Annotated[
        bool, typer.Option("--decided", help="What was decided or withdrawn, as far as it is kept.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Both.")] = False,
    after: Annotated[
        str | None, typer.Option(metavar="ID", help="Only those that were asked after this one.")
    ] = None,
    count: Count = None,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """List what is to be decided, the oldest first."""
    from agents.approvals.command import list_all
    from guild.cli.calling.running import run_command

    wanted: Literal["open", "decided", "all"] = "decided" if decided else "open"
    typed = Common(spec, bus, allow, as_json)
    wanted = "all" if everything else wanted
    run_command(list_all, typed, wanted=wanted, after=after or "", count=count)


@approvals.command()
def show(
    spec: Spec,
    approval_id: ApprovalId,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one."""
    from agents.approvals.command import show_one
    from guild.cli.calling.running import run_command

    run_command(show_one, Common(spec, bus, allow, as_json), approval_id)


@approvals.command()
def approve(
    spec: Spec,
    approval_id: ApprovalId,
    option: Annotated[str, typer.Option(help="Which of its options, where it has some.")] = "",
    reason: Reason = "",
    by: By = None,
    timeout_s: TimeoutS = 30.0,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Let it be done. Whoever asked goes on."""
    from agents.approvals.command import approve_one
    from guild.cli.calling.running import run_command

    typed = Common(spec, bus, allow, as_json)
    run_command(
        approve_one, typed, approval_id, option=option, reason=reason, by=by, timeout_s=timeout_s
    )


@approvals.command()
def reject(
    spec: Spec,
    approval_id: ApprovalId,
    reason: Reason = "",
    by: By = None,
    timeout_s: TimeoutS = 30.0,
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
) -> None:
    """Refuse it. Whoever asked is told."""
    from agents.approvals.command import reject_one
    from guild.cli.calling.running import run_command

    typed = Common(spec, bus, allow, as_json)
    run_command(reject_one, typed, approval_id, reason=reason, by=by, timeout_s=timeout_s)
