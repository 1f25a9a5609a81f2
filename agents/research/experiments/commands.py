"""The words of `guildbus experiments`. Imports what it needs when a command runs."""

# ruff: noqa: PLC0415, PLR0917  --help is quick; typer calls by name

from pathlib import Path
from typing import Annotated

import typer

from guild.cli.syntax.options import Allow, AsJson, BusUrl, Common, LogLevel

experiments = typer.Typer(
    help="What was tried in a workspace. List, compare, show, resume, prune and open it.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)

Workspace = Annotated[
    Path, typer.Option("--workspace", "-w", help="The folder that the research works in.")
]
StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="The name of a study.")]
Either = Annotated[
    str,
    typer.Argument(
        metavar="STUDY|TRIAL", help="The name of a study, or the beginning of a trial's id."
    ),
]


@experiments.command(name="list")
def list_(workspace: Workspace = Path(), as_json: AsJson = False) -> None:
    """List the studies, with the best that each has found."""
    from agents.research.experiments.command.inspecting import list_studies
    from guild.cli.calling.running import run_command

    run_command(list_studies, Common(as_json=as_json), workspace)


@experiments.command()
def show(
    name: Either,
    tree: Annotated[
        bool, typer.Option("--tree", help="What was tried, each below what it changes.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Every row of the ranking.")] = False,
    code: Annotated[bool, typer.Option("--code", help="A trial's code, and nothing else.")] = False,
    workspace: Workspace = Path(),
    as_json: AsJson = False,
) -> None:
    """Show the ranking of a study, or all that is known of a trial."""
    from agents.research.experiments.command.inspecting import show_either
    from guild.cli.calling.running import run_command

    run_command(
        show_either,
        Common(as_json=as_json),
        workspace,
        name,
        tree=tree,
        everything=everything,
        code=code,
    )


@experiments.command()
def compare(
    one: Either, other: Either, workspace: Workspace = Path(), as_json: AsJson = False
) -> None:
    """Show what differs between two trials.

    That is scores, configuration and code. A study stands for its best trial.
    """
    from agents.research.experiments.command.inspecting import compare_two
    from guild.cli.calling.running import run_command

    run_command(compare_two, Common(as_json=as_json), workspace, one, other)


@experiments.command()
def resume(
    name: Either,
    spec: Annotated[
        Path | None, typer.Option(help="The guild spec to ask, when it is not that of the study.")
    ] = None,
    workspace: Workspace = Path(),
    bus: BusUrl = None,
    allow: Allow = None,
    as_json: AsJson = False,
    log_level: LogLevel = None,
) -> None:
    """Go on with a study that was cut short, or with a training.

    A study: its guild is started and asked once more what it was asked, which goes on where it was.
    A training: it goes on from its last checkpoint.
    """
    from agents.research.experiments.command.resuming import resume_either

    resume_either(
        workspace, name, Common(spec, bus=bus, allow=allow, as_json=as_json, log_level=log_level)
    )


@experiments.command()
def prune(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="Left out: all studies.")
    ] = None,
    keep: Annotated[
        int, typer.Option(min=0, help="Configurations of a study whose folders stay, the best.")
    ] = 3,
    forget: Annotated[
        bool, typer.Option("--forget", help="The study's trials, too: nothing is known of it then.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    workspace: Workspace = Path(),
    as_json: AsJson = False,
) -> None:
    """Remove the folders of trials that are not needed.

    These hold checkpoints and logs; what is known of the trials stays. The best of each study keep
    theirs, and what runs, was tested, or can be resumed.
    """
    from agents.research.experiments.command.maintaining import prune_folders
    from guild.cli.calling.running import run_command

    run_command(
        prune_folders,
        Common(as_json=as_json),
        workspace,
        study,
        keep=0 if forget else keep,
        forget=forget,
        dry_run=dry_run,
        yes=yes,
    )


@experiments.command(name="open")
def open_(
    study: StudyName,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; left out: beside the store.")
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Show it, or only write it.")
    ] = True,
    workspace: Workspace = Path(),
    as_json: AsJson = False,
) -> None:
    """Write the report of a study as it stands now, and show it. Its path goes to stdout."""
    from agents.research.experiments.command.maintaining import open_report
    from guild.cli.calling.running import run_command

    run_command(open_report, Common(as_json=as_json), workspace, study, to=to, browser=browser)
