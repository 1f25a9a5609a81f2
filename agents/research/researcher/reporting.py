"""The report of a study: what the experiment store knows, and what was concluded."""

import json
import shlex
from pathlib import Path

from agents.research.experiments import ExperimentStore, store_path
from agents.research.report.files import Written, write_document
from agents.research.report.machine import this_machine
from agents.research.report.study.content import StudyFindings, findings_of
from agents.research.report.study.document import study_document
from agents.research.researcher.messages import StudyReport, StudyRequest


def findings_for(workspace: Path, report: StudyReport) -> StudyFindings:
    """Everything that was tried, and what is believed of it."""
    with ExperimentStore(store_path(workspace)) as store:
        return findings_of(
            store,
            report.name,
            chosen=report.record,
            conclusion=report.verdict,
            repeats="fold",
            command=command_of(StudyRequest.model_validate(store.study(report.name).asked)),
            worked_s=report.seconds,
            test_samples=report.tests[0].samples if report.tests else None,
        )


def write_study_report(workspace: Path, report: StudyReport) -> Written:
    """Note that the study has ended, and write its report into its folder."""
    with ExperimentStore(store_path(workspace)) as store:
        store.end(report.name)
    document = study_document(findings_for(workspace, report), this_machine())
    return write_document(document, workspace / report.folder, below=workspace)


def command_of(request: StudyRequest) -> str:
    """The words of `guildbus research` that ask the same; "" where it has no words for it."""
    usual = StudyRequest(name=request.name)
    asked, seconds = request.dataset_params, request.budget.seconds
    same = ("runs_dir", "max_samples", "split")
    if seconds is None or any(getattr(request, key) != getattr(usual, key) for key in same):
        return ""
    rest = {key: value for key, value in asked.items() if key not in ("data_path", "label_column")}
    options = {
        "data": asked.get("data_path"),
        "label": asked.get("label_column"),
        "params": json.dumps(rest) if rest else None,
        "trials": request.budget.trials,
        "tokens": _unless(request.budget.tokens, usual.budget.tokens),
        "proposers": _unless(",".join(request.proposers), ",".join(usual.proposers)),
        "parallel": _unless(request.parallel, usual.parallel),
        "folds": _unless(request.folds, usual.folds),
        "seed": _unless(request.seed, usual.seed),
        "name": request.name,
    }
    words = ["guildbus", "research", "--dataset", request.dataset, "--budget", f"{seconds:.10g}s"]
    for name, value in options.items():
        words += [] if value is None else [f"--{name}", str(value)]
    return shlex.join(words)


def _unless(value: object, usual: object) -> object | None:
    return None if value == usual else value
