"""From the findings of a study to a document of its own."""

from agents.research.report.blocks import Document
from agents.research.report.content import Machine
from agents.research.report.machine import machine_section
from agents.research.report.plain import in_a_sentence
from agents.research.report.study.content import StudyFindings
from agents.research.report.study.reading import Reading
from agents.research.report.study.sections import found, sections_of
from agents.research.report.wording import duration, moment


def study_document(findings: StudyFindings, machine: Machine) -> Document:
    """Everything that the findings tell, in reading order."""
    reading, study = Reading(findings), findings.study
    ends = [trial.ended_at for trial in findings.trials if trial.ended_at is not None]
    took = duration(max(ends) - study.created_at) if ends else duration(0)
    state = f"ended after {took}" if study.ended_at is not None else f"not ended; {took} until now"
    about = f"{study.dataset}, " if study.dataset else ""
    sections = [found(reading), *sections_of(reading), machine_section(machine)]
    return Document(
        title=f"Study “{in_a_sentence(study.name)}”",
        subtitle=f"{about}{moment(study.created_at)}, {state}",
        sections=[section for section in sections if section.blocks],
    )
