"""The report of a study: what the experiment store knows, and what was concluded."""

from pathlib import Path

from agents.research.experiments import ExperimentStore, store_path
from agents.research.report.files import Written, write_document
from agents.research.report.machine import this_machine
from agents.research.report.study.content import StudyFindings, findings_of
from agents.research.report.study.document import study_document
from agents.research.researcher.messages import StudyReport


def findings_for(workspace: Path, report: StudyReport) -> StudyFindings:
    """Everything that was tried, and what is believed of it."""
    with ExperimentStore(store_path(workspace)) as store:
        return findings_of(
            store,
            report.name,
            chosen=report.record,
            conclusion=report.verdict,
            repeats="fold",
            test_samples=report.tests[0].samples if report.tests else None,
        )


def write_study_report(workspace: Path, report: StudyReport) -> Written:
    """Note that the study has ended, and write its report into its folder."""
    with ExperimentStore(store_path(workspace)) as store:
        store.end(report.name)
    document = study_document(findings_for(workspace, report), this_machine())
    return write_document(document, workspace / report.folder, below=workspace)
