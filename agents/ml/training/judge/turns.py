"""What every training that is judged keeps to: each epoch is scored once, in its turn."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.ml.errors import ScoringError
from agents.ml.training.claims import EpochClaims, claims
from agents.ml.training.examination import Examination
from agents.ml.training.history import with_scores
from agents.ml.training.scoring import has_diverged


class Turns:
    """The epochs of one run; one that is scored twice would tell of targets."""

    def __init__(self, session: Examination, *, epochs: int, of: str) -> None:
        """Score so many epochs, put out by the model called `of`."""
        self._session, self._epochs, self._of, self._last = session, epochs, of, 0

    def scored(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the line of the epoch that the trainer tells of; None if it has diverged.

        Raises:
            ScoringError: it is not this epoch's turn, or what was put out cannot be scored.
        """
        trained = claims(EpochClaims, said, of=self._of)
        del trained["member"]
        epoch = trained["epoch"]
        if not self._last < epoch <= self._epochs:
            raise ScoringError(f"epoch {epoch} was to be scored out of turn", where=self._of)
        self._last = epoch
        scores = self._session.score(of=self._of)
        return None if has_diverged(scores) else with_scores(trained, scores)

    def require_all(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Refuse a run that is said to be complete and is not.

        Raises:
            ScoringError: epochs are missing in its history.
        """
        if len(history) != self._epochs:
            text = f"its process ended after {len(history)} of {self._epochs} epochs were scored"
            raise ScoringError(text, where=self._of)
