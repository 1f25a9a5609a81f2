"""What a study has found, as plain data."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from agents.research.experiments import ExperimentStore, Study, Trial


class StudyFindings(BaseModel):
    """Everything that the report of a study is made of.

    Attributes:
        trials: all of them, in the order in which they were planned.
        histories: by trial, one record for each epoch or evaluation.
        chosen: a trial of the configuration that is believed to be best; "" is the first of the
            leaderboard that is no baseline.
        conclusion: what was found, in a sentence; "" leaves it to the report.
        repeats: what the trials of one configuration differ in.
        test_samples: how many samples the held-out test has, for its uncertainty.
        command: the words that begin such a study.
        worked_s: how long it was at work, where the study itself has counted; None leaves it to the
            times of its trials, in which the pause after a kill counts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: Study
    trials: list[Trial]
    histories: dict[str, list[dict[str, Any]]] = {}
    chosen: str = ""
    conclusion: str = ""
    repeats: Literal["seed", "fold"] = "seed"
    test_samples: int | None = None
    command: str = ""
    worked_s: float | None = None


def findings_of(store: ExperimentStore, study: str, **more: Any) -> StudyFindings:
    """What the store knows of a study; `more` are fields of `StudyFindings`.

    Raises:
        UnknownStudyError: there is none of this name.
    """
    trials = store.trials(study)
    histories = {trial.id: store.history(trial.id) for trial in trials}
    kept = {trial: history for trial, history in histories.items() if history}
    return StudyFindings(study=store.study(study), trials=trials, histories=kept, **more)
