"""`guildbus experiments prune` and `open`."""

import re
import sys
import webbrowser
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import typer

from agents.research.errors import WorkRefusedError
from agents.research.experiments.command.opening import consulted, opened, telling
from agents.research.experiments.pruning import Prunable, Pruning, look, prune, study_folders
from agents.research.experiments.store import ExperimentStore, store_path
from agents.research.experiments.study import Study
from agents.research.report.files import HTML_FILE, MARKDOWN_FILE, write_document
from agents.research.report.machine import this_machine
from agents.research.report.study.content import StudyFindings, findings_of
from agents.research.report.study.document import study_document
from agents.research.report.wording import size
from agents.research.workspace.files import WorkspaceFiles
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import FAILED, OK, UsageError
from guild.cli.printing.output import Output


@telling
async def prune_folders(
    call: Call,
    workspace: Path,
    study: str | None,
    *,
    keep: int,
    forget: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    if forget and study is None:
        raise UsageError("--forget needs a study: it forgets all that is known of it")
    output = call.output
    with consulted(workspace) as store:
        found = look(store, workspace, study=study, keep=keep, forget=forget)
        forgotten = _forgotten(store, study) if forget and study is not None else None
    _tell(output, found)
    if forgotten is not None:
        output.note(f"and forgotten: {forgotten.trials} trials of {study}")
    if dry_run or not (found.prunable or forget):
        return OK
    if not yes:
        _confirm()
    removed: list[Prunable] = []
    try:
        for each, error in prune(workspace, found.prunable):
            if error is None:
                removed.append(each)
            else:
                output.error(f"{each.folder} could not be removed and stays: {error}")
    finally:
        if removed:  # only now is there room, where the disk was full
            with opened(workspace) as store:
                store.drop_artifacts([each.trial.id for each in removed])
            output.note(f"{size(sum(each.size_bytes for each in removed))} are free again")
    if len(removed) < len(found.prunable):
        return FAILED
    if forgotten is not None:
        _forget(workspace, forgotten)
    return OK


class _Forgotten(NamedTuple):
    study: Study
    trials: int


def _forgotten(store: ExperimentStore, name: str) -> _Forgotten:
    """The study.

    Raises:
        UsageError: something works on it.
    """
    study, trials = store.study(name), store.trials(name)
    running = sum(trial.state == "running" for trial in trials)
    if running:
        raise UsageError(f"{running} trials of {name} are running; stop what works on it first")
    return _Forgotten(study, len(trials))


def _forget(workspace: Path, forgotten: _Forgotten) -> None:
    files = WorkspaceFiles(workspace).with_the_guilds_own()
    for folder in study_folders(forgotten.study):
        files.remove_folder(folder)
    with opened(workspace) as store:
        store.forget(forgotten.study.name)


@telling
async def open_report(
    call: Call, workspace: Path, study: str, *, to: Path | None, browser: bool
) -> int:
    with consulted(workspace) as store:
        repeats = "fold" if "folds" in store.study(study).asked else "seed"
        findings = findings_of(store, study, repeats=repeats)
    own = _own_report(workspace, findings.study)
    path, markdown = own if own and not to else _write(workspace, findings, to)
    if call.output.as_json:
        call.output.json({"html": str(path), "markdown": str(markdown)})
    else:
        call.output.text(str(path))
    if browser and not webbrowser.open(path.as_uri()):
        call.output.note("no browser could be started here; open the file in one")
    return OK


def _own_report(workspace: Path, study: Study) -> tuple[Path, Path] | None:
    """The report that the one who led a study left, which says more: what was concluded."""
    runs, files = study.asked.get("runs_dir"), WorkspaceFiles(workspace)
    if study.ended_at is None or not isinstance(runs, str):
        return None
    folder = Path(runs) / study.name
    if not files.has_file(str(folder / HTML_FILE)):
        return None
    root = workspace.resolve()
    return root / folder / HTML_FILE, root / folder / MARKDOWN_FILE


def _write(workspace: Path, findings: StudyFindings, to: Path | None) -> tuple[Path, Path]:
    reports = store_path(workspace).parent / "reports"
    folder = to or reports / _folder_name(findings.study.name)
    try:
        written = write_document(study_document(findings, this_machine()), folder)
    except (OSError, WorkRefusedError) as error:
        remedy = "" if to else "; name another place with --to"
        raise UsageError(f"the report cannot be written to {folder}: {error}{remedy}") from error
    return written.html.resolve(), written.markdown.resolve()


def _tell(output: Output, found: Pruning) -> None:
    rows = (
        {"trial": each.trial.id, "study": each.trial.study, "size_bytes": each.size_bytes}
        | {"size": size(each.size_bytes), "folder": str(each.folder)}
        for each in found.prunable
    )
    output.rows(["trial", "study", "size", "folder"], rows, "there is nothing to prune")
    for trial in found.refused:
        output.note(
            f"the folder of trial {trial.id} stays, it is none of this workspace's own: "
            f"{trial.artifacts}"
        )


def _confirm() -> None:
    """Ask whether to go on.

    Raises:
        UsageError: there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise UsageError("nothing was removed: there is no terminal to ask on, so say --yes")
    typer.confirm("Remove them?", abort=True, err=True)


def _folder_name(study: str) -> str:
    """The study's name where a folder can have it, else one that is like it."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", study).lstrip(".") or "study"
    same = safe == study and len(safe) <= 100  # noqa: PLR2004  a file system's limit is not far
    return safe if same else f"{safe[:80]}-{sha256(study.encode()).hexdigest()[:8]}"
