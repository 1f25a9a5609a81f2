"""The answers of a study: what its trials are held to. Importable without torch."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

ANSWERS = "answers.json"
NOBODY_KNOWS = -1  # the label of a sample that a trial is scored on


class Answers(BaseModel):
    """Classes of samples, by position.

    Attributes:
        labels: of the samples to learn from and to select by.
        folds: the fold of each of these.
        test_labels: of the held-out test.
        hidden: absolute paths where the same lies on this machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: list[int]
    folds: list[int]
    test_labels: list[int]
    hidden: list[str]

    @classmethod
    def read(cls, vault: Path) -> "Answers":
        return cls.model_validate_json((vault / ANSWERS).read_text("utf-8"))

    def without(self, fold: int) -> list[int]:
        """The labels to learn from when `fold` is left out."""
        pairs = zip(self.labels, self.folds, strict=True)
        return [NOBODY_KNOWS if at == fold else label for label, at in pairs]
