"""The report of a study, written into its folder."""

from pathlib import Path
from typing import Any

from agents.research.experiments import ExperimentStore, store_path
from agents.research.report.files import Written, write_document
from agents.research.report.machine import this_machine
from agents.research.report.study.content import findings_of
from agents.research.report.study.document import study_document


def write_study_report(workspace: Path, study: str, folder: str, more: dict[str, Any]) -> Written:
    """Write what the store knows of a study, and `more`, fields of `StudyFindings`."""
    with ExperimentStore(store_path(workspace)) as store:
        store.end(study)
        findings = findings_of(store, study, **more)
    return write_document(study_document(findings, this_machine()), workspace / folder)
