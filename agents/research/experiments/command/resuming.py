"""`guildbus experiments resume`: a study by its request, a training by its folder."""

import json
from pathlib import Path
from shlex import quote
from typing import Any

import typer

from agents.research.errors import ResearchError, WorkRefusedError
from agents.research.experiments.command.opening import consulted, exit_code, find
from agents.research.experiments.errors import StoreError
from agents.research.experiments.recording import DATA, STUDY, Training
from agents.research.experiments.study import Study
from agents.research.experiments.trial import Trial
from agents.research.messages import TrainFully, TrainLanguageModel
from agents.research.workspace.files import WorkspaceFiles
from agents.sandbox.kernel.beneath import relative
from guild.cli.calling.exit_codes import FAILED, INTERRUPTED, OK, UsageError, exit_code_of
from guild.cli.printing.output import Output
from guild.cli.syntax.options import Common
from guild.errors import GuildError
from guild.progress import Progress

_TIMEOUT_S = 7 * 24 * 3600.0


def resume_either(workspace: Path, name: str, typed: Common) -> None:
    """Go on with it, and leave the process with the status of what came of it."""
    output = Output(as_json=typed.as_json)
    try:
        with consulted(workspace) as store:
            found = find(store, name)
            running = store.trials(found.name) if isinstance(found, Study) else []
        if isinstance(found, Study):
            _resume_study(output, found, running, typed)
            return
        code = _resume_training(output, workspace, request_of(workspace, found))
    except StoreError as error:
        output.error(str(error))
        code = exit_code(error)
    except GuildError as error:
        output.error(str(error))
        code = exit_code_of(error)
    raise typer.Exit(code)


def request_of(workspace: Path, trial: Trial) -> Training:
    """What continues a training: the same request, which finds its folder.

    Raises:
        UsageError: the trial cannot be resumed; says why, and what to do.
    """
    if trial.study != STUDY:
        raise UsageError(
            f"the trial {trial.id} belongs to the study {trial.study}, which goes on as a whole: "
            f"guildbus experiments resume {quote(trial.study)}"
        )
    if trial.status in ("done", "diverged"):
        raise UsageError(f"the trial {trial.id} has ended: {trial.outcome}")
    if trial.kind != "full" or not trial.artifacts:
        raise UsageError(
            f"the trial {trial.id} left no checkpoint to go on from: only a full training does; "
            "ask for it again"
        )
    folder = Path(trial.artifacts)
    config = {**trial.config, "seed": trial.seed}
    place = {"experiment_name": folder.name, "log_base_dir": str(folder.parent)}
    if "model_class_name" not in config:
        output_dir, serve_as = config.pop("model"), config.pop("serve_as", None)
        return TrainLanguageModel(config=config, output_dir=output_dir, serve_as=serve_as, **place)
    class_name = config.pop("model_class_name")
    config.pop(DATA, None)
    return TrainFully(
        model_script_path=_script(workspace, folder),
        model_class_name=class_name,
        trainer_config=config,
        **place,
    )


def _resume_study(output: Output, study: Study, trials: list[Trial], typed: Common) -> None:
    """Ends the process as `guildbus run SPEC --request TYPE` does."""
    if study.ended_at is not None:
        raise UsageError(
            f"the study {study.name} has ended; guildbus experiments open {quote(study.name)}"
        )
    spec = typed.spec or (Path(study.spec) if study.spec else None)
    if not study.asked_type or spec is None:
        missing = "message began it" if not study.asked_type else "guild spec is known for it"
        raise UsageError(
            f"the study {study.name} cannot be resumed: no {missing}. Resume one of its trainings "
            f"(guildbus experiments show {quote(study.name)}), or name a guild with --spec"
        )
    running = sum(trial.status == "running" for trial in trials)
    output.note(
        f"asking {spec} once more for {study.asked_type}, {len(trials)} trials are there"
        + (f", {running} of them were running" if running else "")
    )
    from guild.cli.calling.running import run_command  # noqa: PLC0415
    from guild.cli.commands.run import run_guild  # noqa: PLC0415  only this needs a guild

    run_command(
        run_guild,
        typed._replace(spec=spec),
        study.asked_type,
        [json.dumps(study.asked)],
        topic=None,
        conversation="",
        timeout_s=_TIMEOUT_S,
        only=None,
    )


def _resume_training(output: Output, workspace: Path, request: Training) -> int:
    from agents.research.toolkit import ResearchToolkit  # noqa: PLC0415  an extra

    def show(progress: Progress) -> None:
        total = f"/{progress.total:g}" if progress.total else ""
        output.note(f"{progress.task}: {progress.done:g}{total} {progress.text}")

    try:
        with ResearchToolkit(workspace=workspace, show=show) as kit:
            train = (
                kit.pytorch_full_trainer
                if isinstance(request, TrainFully)
                else kit.train_language_model
            )
            result = train(**request.model_dump())
    except ResearchError as error:
        output.error(str(error))
        return FAILED
    except KeyboardInterrupt:
        output.note("stopped; the same command goes on from the last checkpoint")
        return INTERRUPTED
    _report(output, result)
    return OK


def _report(output: Output, result: dict[str, Any]) -> None:
    if output.as_json:
        output.json(result)
        return
    scores = ", ".join(
        f"{k} {v:.4g}" for k, v in result["final_evaluation"].items() if v is not None
    )
    output.text(f"{result['status']} after {result['epochs_run']} epochs: {scores}")
    for warning in result.get("warnings", ()):
        output.note(f"warning: {warning}")


def _script(workspace: Path, folder: Path) -> str:
    """The model's script, as the training's folder names it.

    Raises:
        UsageError: the folder does not say.
    """
    path = folder / "config.json"
    try:
        script = json.loads(WorkspaceFiles(workspace).read(str(path)))["model_script_path"]
        return relative(workspace, script)
    except (WorkRefusedError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path} does not say which script was trained ({error}), so that the training cannot "
            "go on; ask for it again"
        ) from error
